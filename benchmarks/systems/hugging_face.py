"""transformers' Trainer with PEFT, and TRL's SFTTrainer: libraries, so a short script of ours calls each of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks import cases
from benchmarks.systems import Job, Mark, System
from furrow.components.fine_tuner.pytorch.engine.batches import seed_of

WORKERS = Path(__file__).parents[1] / "workers"
LINE = "BENCHMARK "
"""Begins a line that a worker writes for us."""


def _command(worker: str, extra: dict[str, object], job: Job, programs: Path) -> list[str]:
    asked = {
        "model": str(job.workload.model),
        "ids": str(job.workload.ids),
        "output": str(job.folder / "output"),
        "method": job.case.method,
        "layers": job.case.adapted(job.workload.shape),
        "epochs": job.case.epochs,
        **cases.TOLD,
        "adapter_seed": seed_of(cases.SEED, 0),  # Furrow's: both adapters begin with the same numbers
        **extra,
    }
    file = job.folder / "asked.json"
    file.write_text(json.dumps(asked, indent=2), encoding="utf-8")
    return [str(programs / "python"), str(WORKERS / worker), str(file)]


def _marks() -> Callable[[str], Mark | None]:
    return read_line


def read_line(line: str) -> Mark | None:
    if not line.startswith(LINE):
        return None
    said = json.loads(line.removeprefix(LINE))
    return Mark("begun") if said["mark"] == "begun" else Mark("step", said["loss"])


TRAINER = System(
    title="Trainer + PEFT",
    environment="trainer",
    settings=(
        f"micro-batches of {cases.PEER_BATCH} rows, {cases.PEER_ACCUMULATION} a step, padded to the longest row of "
        "each; sdpa; takes token ids; loss on answers, normalised over the step"
    ),
    command=partial(_command, "trainer_peft.py", {}),
    marks=_marks,
)
TRL = System(
    title="TRL",
    environment="trl",
    settings=(
        "SFTTrainer as it ships, which recomputes activations (`gradient_checkpointing`), in float32; micro-batches as "
        "for Trainer; takes token ids; loss on answers"
    ),
    command=partial(_command, "trl_sft.py", {"packing": False, "gradient_checkpointing": True}),
    marks=_marks,
    help=("trl", "--help"),
)
_PACKED = (
    "`packing=True`, 512 tokens a pack, two packs a step: close to the tokens of 8 rows, but other batches and fewer "
    "steps than everybody else's"
)
_PACKS = {"packing": True, "batch": 2, "accumulation": 1}
TRL_PACKED = System(
    title="TRL, packed",
    environment="trl",
    settings=f"{_PACKED}; recomputes activations, as TRL ships",
    command=partial(_command, "trl_sft.py", {**_PACKS, "gradient_checkpointing": True}),
    marks=_marks,
)
TRL_PACKED_STORED = System(
    title="TRL, packed, activations kept",
    environment="trl",
    settings=f"{_PACKED}; `gradient_checkpointing=False`, which is quicker and takes more memory",
    command=partial(_command, "trl_sft.py", {**_PACKS, "gradient_checkpointing": False}),
    marks=_marks,
)
