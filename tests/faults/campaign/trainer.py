"""The same harm done to transformers' Trainer: the same model, rows and steps, saved and resumed as its guide says."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.campaign.children import Child, Marks, fork
from tests.faults.campaign.kills import System
from tests.faults.campaign.marking import mark
from tests.faults.campaign.runs import Ending, Prepare
from tests.faults.campaign.tiny import BATCH, Shop
from tests.faults.campaign.verdict import EXACT, STUCK, WRONG, Trial, first_steps, last_line

STEPS = 6
LENGTH = 32
RESUME = "--resume"
"""Stands for `resume_from_checkpoint=True`."""


@dataclass(frozen=True)
class TrainerJob:
    """Six steps of four rows, a checkpoint after every second one."""

    shop: Shop
    method: str
    limit: int | None = 1
    learning_rate: float = 0.005

    def start(self, folder: Path, *more: str, prepare: Prepare | None = None) -> Child:
        def action(marks: Marks) -> None:
            _quieten()
            if prepare is not None:
                prepare(marks)
            _train(self, folder, resume=RESUME in more)

        return fork(action, folder.with_suffix(".said"))

    def run(self, folder: Path, *more: str, prepare: Prepare | None = None) -> Child:
        child = self.start(folder, *more, prepare=prepare)
        child.wait()
        return child


def warm() -> None:
    """Imports what its runs import."""
    import peft  # noqa: F401
    from transformers import Trainer  # noqa: F401


def ending(folder: Path) -> Ending:
    [weights] = (folder / "final").glob("*.safetensors")
    losses = {event["step"]: event["loss"] for event in record(folder)}  # a step done again counts as it came out last
    return Ending(hashlib.sha256(weights.read_bytes()).hexdigest(), tuple(sorted(losses.items())))


def record(folder: Path) -> list[dict[str, Any]]:
    """What it logged at every step."""
    file = folder / "losses.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines() if line.endswith("}")] if file.is_file() else []


def gone_on_with(job: TrainerJob, folder: Path, whole: Ending, *, saved: bool) -> Trial:
    """`trainer.train(resume_from_checkpoint=True)`, once."""
    child = job.run(folder, RESUME)
    if child.code != 0:
        return Trial(STUCK, f"ended with {child.code}: {last_line(child.said)}")
    found = ending(folder)
    if found == whole:
        return Trial(EXACT)
    what = "weights" if found.weights != whole.weights else "losses"
    return Trial(WRONG, f"other {what} than the run that was left alone: steps {first_steps(found)}")


def mark_saves(marks: Marks, *, halt: str | None = None) -> None:
    from transformers import Trainer

    mark(Trainer, "_save_checkpoint", marks, halt=halt)


TRAINER = System("trainer", mark_saves, ending, gone_on_with)


def _quieten() -> None:
    import transformers

    transformers.utils.logging.disable_progress_bar()


def _train(job: TrainerJob, folder: Path, *, resume: bool) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainerCallback, TrainingArguments, set_seed

    class Losses(TrainerCallback):
        def on_log(
            self, arguments: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
        ) -> None:
            if logs and "loss" in logs:
                with (folder / "losses.jsonl").open("a") as file:
                    file.write(json.dumps({"step": state.global_step, **logs}) + "\n")

    folder.mkdir(exist_ok=True)
    set_seed(42)
    tokenizer = AutoTokenizer.from_pretrained(job.shop.base)
    model = AutoModelForCausalLM.from_pretrained(job.shop.base)
    if job.method == "lora":
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules="all-linear"))
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=STEPS, per_device_train_batch_size=BATCH, learning_rate=job.learning_rate,
        save_strategy="steps", save_steps=2, save_total_limit=job.limit, logging_steps=1, report_to="none",
        use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=_rows(job.shop, tokenizer), callbacks=[Losses()])
    trainer.train(resume_from_checkpoint=resume or None)
    trainer.save_model(str(folder / "final"))


def _rows(shop: Shop, tokenizer: Any) -> list[dict[str, Any]]:
    rows = []
    for line in shop.rows.read_text().splitlines():
        row = json.loads(line)
        ids = tokenizer(f"{row['prompt']} {row['completion']}")["input_ids"][:LENGTH]
        padding = LENGTH - len(ids)
        rows.append(
            {
                "input_ids": ids + [0] * padding,
                "attention_mask": [1] * len(ids) + [0] * padding,
                "labels": ids + [-100] * padding,
            }
        )
    return rows
