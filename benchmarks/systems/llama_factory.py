"""LLaMA-Factory, by its own command line."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from benchmarks import cases
from benchmarks.systems import Job, System
from benchmarks.systems.trainer_output import marks


def _command(job: Job, programs: Path) -> list[str]:
    (job.folder / "dataset_info.json").write_text(
        json.dumps(
            {
                "benchmark": {
                    "file_name": str(job.workload.texts.resolve()),
                    "columns": {"prompt": "input", "response": "output"},
                }
            }
        ),
        encoding="utf-8",
    )
    settings = {
        "model_name_or_path": str(job.workload.model.resolve()),
        "stage": "sft",
        "do_train": True,
        "finetuning_type": "lora",
        "lora_rank": cases.RANK,
        "lora_alpha": cases.ALPHA,
        "lora_dropout": 0.0,
        "lora_target": "all",
        "dataset": "benchmark",
        "dataset_dir": str(job.folder.resolve()),
        "template": "empty",
        "cutoff_len": 512,
        "preprocessing_num_workers": 1,
        "disable_shuffling": True,
        "output_dir": str((job.folder / "output").resolve()),
        "per_device_train_batch_size": cases.PEER_BATCH,
        "gradient_accumulation_steps": cases.PEER_ACCUMULATION,
        "num_train_epochs": job.case.epochs,
        "learning_rate": cases.LEARNING_RATE,
        "lr_scheduler_type": "linear",
        "weight_decay": 0.0,
        "seed": cases.SEED,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
    }
    file = job.folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return [str(programs / "llamafactory-cli"), "train", str(file)]


LLAMA_FACTORY = System(
    title="LLaMA-Factory",
    environment="llamafactory",
    settings=(
        "`llamafactory-cli train` as it ships, which recomputes activations; micro-batches as for Trainer; takes the "
        "rows as text under its empty template, which writes no end token; loss on answers"
    ),
    command=_command,
    marks=marks,
    help=("llamafactory-cli", "help"),
)
