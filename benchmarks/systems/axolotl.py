"""Axolotl, by its own command line."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks import cases
from benchmarks.systems import Job, System
from benchmarks.systems.trainer_output import marks


def _command(job: Job, programs: Path) -> list[str]:
    settings = {
        "base_model": str(job.workload.model.resolve()),
        "adapter": "lora",
        "lora_r": cases.RANK,
        "lora_alpha": cases.ALPHA,
        "lora_dropout": 0.0,
        "lora_target_linear": True,
        "datasets": [
            {"path": str(job.workload.ids.resolve()), "ds_type": "json", "type": None},
        ],
        "dataset_prepared_path": str((job.folder / "prepared").resolve()),
        "dataset_processes": 1,
        "output_dir": str((job.folder / "output").resolve()),
        "sequence_len": 512,
        "sample_packing": False,
        "pad_to_sequence_len": False,
        "micro_batch_size": cases.PEER_BATCH,
        "gradient_accumulation_steps": cases.PEER_ACCUMULATION,
        "num_epochs": job.case.epochs,
        "optimizer": "adamw_torch",
        "lr_scheduler": "linear",
        "learning_rate": cases.LEARNING_RATE,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "warmup_steps": 0,
        "shuffle_merged_datasets": False,
        "curriculum_sampling": True,  # its word for the order of the file
        "train_on_inputs": False,
        "bf16": False,
        "fp16": False,
        "tf32": False,
        "attn_implementation": "sdpa",
        "gradient_checkpointing": False,
        "lora_mlp_kernel": False,  # these three are for CUDA, and would be switched on by themselves
        "lora_qkv_kernel": False,
        "lora_o_kernel": False,
        "val_set_size": 0,
        "save_strategy": "no",
        "logging_steps": 1,
        "seed": cases.SEED,
        "use_tensorboard": False,
    }
    file = job.folder / "settings.yaml"
    file.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    return [str(programs / "axolotl"), "train", str(file), "--launcher", "python"]


AXOLOTL = System(
    title="Axolotl",
    environment="axolotl",
    settings=(
        "`axolotl train`, its LoRA kernels switched off, which need CUDA; micro-batches as for Trainer; takes "
        "token ids; loss on answers"
    ),
    command=_command,
    marks=marks,
    help=("axolotl", "--help"),
)
