"""LitGPT, by its own command line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from benchmarks import cases
from benchmarks.shape import SMOLLM2_135M
from benchmarks.systems import Job, Mark, System
from benchmarks.workload import Workload

ITERATION = re.compile(r"iter \d+ step \d+ \| loss train: ([\d.]+|nan),.*iter time: ([\d.]+) ms( \(step\))?")
LORA_ON = ("query", "key", "value", "projection", "mlp")


def _prepare(workload: Workload, programs: Path) -> None:
    """Its own form of the checkpoint, and its form of the rows: `instruction` and `output`."""
    if workload.shape != SMOLLM2_135M:
        raise ValueError("LitGPT knows its models by name: it takes the shape of SmolLM2-135M only")
    folder = workload.folder / "litgpt"
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in workload.texts.read_text(encoding="utf-8").splitlines()]
    rows = [{"instruction": row["input"], "output": row["output"]} for row in rows]
    (data / "train.json").write_text(json.dumps(rows), encoding="utf-8")
    (data / "val.json").write_text(json.dumps(rows[:1]), encoding="utf-8")  # it insists on one; it is not timed
    if not (folder / "model" / "lit_model.pth").is_file():
        shutil.copytree(workload.model, folder / "model", dirs_exist_ok=True)
        subprocess.run(
            [str(programs / "litgpt"), "convert_to_litgpt", str(folder / "model"), "--model_name", "SmolLM2-135M"],
            check=True,
            stdout=subprocess.DEVNULL,
        )


def _command(job: Job, programs: Path) -> list[str]:
    full = job.case.method == "full"
    made = job.workload.folder / "litgpt"
    settings = {
        "checkpoint_dir": str(made / "model"),
        "out_dir": str(job.folder / "output"),
        "precision": "32-true",
        "devices": 1,
        "data": {
            "class_path": "litgpt.data.JSON",
            "init_args": {
                "json_path": str(made / "data"),
                "mask_prompt": True,
                "prompt_style": {"class_path": "litgpt.prompts.Default"},
                "num_workers": 0,
            },
        },
        "train": {
            "epochs": job.case.epochs,
            "global_batch_size": cases.ROWS_PER_STEP,
            "micro_batch_size": cases.PEER_BATCH,
            "lr_warmup_steps": 1,
            "max_seq_length": 512,
            "log_interval": 1,
            "save_interval": 1000,
        },
        "eval": {"interval": 1000, "max_new_tokens": 1, "max_iters": 1, "final_validation": False},
        "optimizer": {
            "class_path": "torch.optim.AdamW",
            "init_args": {"lr": cases.LEARNING_RATE, "weight_decay": 0.0},
        },
        "seed": cases.SEED,
    }
    if not full:
        settings |= {"lora_r": cases.RANK, "lora_alpha": cases.ALPHA, "lora_dropout": 0.0, "lora_head": False}
        settings |= {f"lora_{layer}": True for layer in LORA_ON}
    file = job.folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return [str(programs / "litgpt"), "finetune_full" if full else "finetune_lora", "--config", str(file)]


def _marks() -> Callable[[str], Mark | None]:
    """It speaks after each micro-batch: the first line tells by its own time when that began."""
    begun = False

    def read(line: str) -> Mark | None:
        nonlocal begun
        found = ITERATION.search(line)
        if found is None:
            return None
        if not begun:  # the first micro-batch never ends a step: there are PEER_ACCUMULATION of them
            begun = True
            return Mark("begun", seconds=float(found[2]) / 1000)
        return Mark("step", float(found[1])) if found[3] else None

    return read


LITGPT = System(
    title="LitGPT",
    environment="litgpt",
    settings=(
        f"`litgpt finetune_lora`; micro-batches of {cases.PEER_BATCH} rows, {cases.PEER_ACCUMULATION} a step; takes "
        "the rows as text; loss on answers, a mean over each micro-batch; shuffles the rows, and knows only a cosine "
        "schedule after a warm-up of at least one step"
    ),
    command=_command,
    marks=_marks,
    prepare=_prepare,
    help=("litgpt", "--help"),
)
