"""Furrow itself, as a user runs it: a strategy file and `cli.py train`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks import cases
from benchmarks.systems import Job, Mark, System

ROOT = Path(__file__).parents[2]


def strategy(job: Job, optimization: dict[str, Any]) -> dict[str, Any]:
    """The strategy file's content; `optimization` are further settings of hardware.optimization."""
    case = job.case
    method: dict[str, Any] = {"type": case.method}
    if case.method != "full":
        method |= {"r": cases.RANK, "alpha": cases.ALPHA, "dropout": 0.0, "target_modules": "all-linear"}
    if (layers := case.adapted(job.workload.shape)) is not None:
        method["layers_to_transform"] = layers
    return {
        "benchmark": {
            "components": {
                "fine_tuner": {
                    "type": "pytorch",
                    "config": {
                        "base_model": {"path": str(job.workload.model.resolve())},
                        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no", **optimization}},
                        "method": method,
                        "training_args": {
                            "output_dir": str((job.folder / "output").resolve()),
                            "num_train_epochs": case.epochs,
                            "per_device_train_batch_size": cases.ROWS_PER_STEP,
                            "learning_rate": cases.LEARNING_RATE,
                            "lr_scheduler_type": "linear",
                            "save_strategy": "no",
                            "seed": cases.SEED,
                        },
                    },
                }
            },
            "dataset": {"train_file": str(job.workload.texts.resolve())},
            "data_preprocessing": {"max_length": 512, "shuffle": False},
            "prompt_template": {"type": "format", "format": "{input} {output}"},
        }
    }


def _command(optimization: dict[str, Any], job: Job, programs: Path) -> list[str]:
    file = job.folder / "strategy.yaml"
    file.write_text(yaml.safe_dump(strategy(job, optimization), sort_keys=False), encoding="utf-8")
    asked = ["train", "--strategy", "benchmark", "--strategy-file", str(file.resolve()), "--json"]
    return [sys.executable, str(ROOT / "cli.py"), *asked]


def _marks() -> Callable[[str], Mark | None]:
    return read_event


def read_event(line: str) -> Mark | None:
    """A line of `--json`."""
    if not line.startswith("{"):
        return None
    event = json.loads(line)
    if event.get("event") == "training_started":
        return Mark("begun")
    if event.get("event") == "step_ended":
        return Mark("step", event["loss"])
    return None


FURROW = System(
    title="Furrow",
    environment=None,
    settings=(
        "`cli.py train` with a strategy file; the cut of each effective batch is its own (`micro_batch_tokens: auto`); "
        "takes the rows as text; loss on answers, normalised over the step"
    ),
    command=partial(_command, {}),
    marks=_marks,
    help=(sys.executable, str(ROOT / "cli.py"), "--help"),
)
FURROW_NO_CACHE = System(
    title="Furrow, trunk computed in every epoch",
    environment=None,
    settings="the same with `activation_cache_gb: 0`",
    command=partial(_command, {"activation_cache_gb": 0}),
    marks=_marks,
)
