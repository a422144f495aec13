"""Adapters on disk while the policy learns: each whole or absent, the newest few kept. They hold no optimiser state."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from furrow.components.checkpoint_folder import name_of, write_manifest
from furrow.components.events import CheckpointSaved, Emit
from furrow.components.fine_tuner.trl.training_args import PolicyTrainingArgs
from furrow.components.publish import publishing, remove


@dataclass
class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Saves into `folder/step-00000120/`, after the step's own event."""

    arguments: PolicyTrainingArgs
    folder: Path
    tokenizer: Any
    emit: Emit
    _saved: list[Path] = field(default_factory=list)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], model: Any, **_: Any) -> None:
        ended_step = "loss" in logs and "reward" in logs
        if (
            ended_step
            and self.arguments.save_strategy == "steps"
            and state.global_step % self.arguments.save_steps == 0
        ):
            self._save(state.global_step, model)

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        if self.arguments.save_strategy == "epoch":
            self._save(state.global_step, model)

    def _save(self, step: int, model: Any) -> None:
        destination = self.folder / name_of(step)
        if destination in self._saved:
            return
        with publishing(destination) as staging:
            save_adapter(model, self.tokenizer, staging / "model")
            write_manifest(staging, step)
        self._saved.append(destination)
        if self.arguments.save_total_limit is not None:
            for old in self._saved[: -self.arguments.save_total_limit]:
                remove(old)
                self._saved.remove(old)
        self.emit(CheckpointSaved(step=step, path=str(destination)))


def save_adapter(model: Any, tokenizer: Any, folder: Path) -> None:
    """The adapter that learned, not the frozen copy of its beginning that TRL keeps beside it where beta is not 0."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, save_embedding_layers=False, selected_adapters=["default"])
    tokenizer.save_pretrained(folder)
