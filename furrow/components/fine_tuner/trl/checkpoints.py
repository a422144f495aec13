"""Adapters on disk while the policy learns: each whole or absent, the newest few kept. They hold no optimiser state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from furrow.components.disk.checkpoint_folder import MODEL, name_of
from furrow.components.disk.checkpoint_saving import publishing_checkpoint, remove_older
from furrow.components.disk.patience import patiently
from furrow.components.events import CheckpointSaved, Emit
from furrow.components.fine_tuner.pytorch.keeping.room import model_bytes
from furrow.components.fine_tuner.trl.training_args import PolicyTrainingArgs
from furrow.components.interruption import StopRequest


@dataclass
class CheckpointCallback(TrainerCallback):  # type: ignore[misc]
    """Saves into `folder/step-00000120/`, after the step's own event."""

    arguments: PolicyTrainingArgs
    folder: Path
    tokenizer: Any
    emit: Emit
    stop: StopRequest
    _saved: list[Path] = field(default_factory=list)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], model: Any, **_: Any) -> None:
        ended_step = "loss" in logs and "reward" in logs
        if (
            ended_step
            and self.arguments.save_strategy == "steps"
            and state.global_step % self.arguments.save_steps == 0
        ):
            self.save(state.global_step, model)

    def on_epoch_end(self, args: Any, state: Any, control: Any, model: Any, **_: Any) -> None:
        if self.arguments.save_strategy == "epoch":
            self.save(state.global_step, model)

    def save(self, step: int, model: Any) -> Path:
        """Once a step; returns the checkpoint."""
        destination = self.folder / name_of(step)
        if destination in self._saved:
            return destination
        self.patiently(lambda: self._publish(destination, step, model), step)
        self._saved.append(destination)
        remove_older(self._saved, self.arguments.save_total_limit)
        self.emit(CheckpointSaved(step=step, path=str(destination)))
        return destination

    def patiently(self, save: Callable[[], None], step: int) -> None:
        """Saves, also where the disk does not take it at first; see save_retry_seconds."""
        patiently(save, seconds=self.arguments.save_retry_seconds, step=step, stop=self.stop, emit=self.emit)

    def _publish(self, destination: Path, step: int, model: Any) -> None:
        with publishing_checkpoint(destination, step, needed=model_bytes(model)) as (staging, _):
            save_adapter(model, self.tokenizer, staging / MODEL)


def save_adapter(model: Any, tokenizer: Any, folder: Path) -> None:
    """The adapter that learned, not the frozen copy of its beginning that TRL keeps beside it where beta is not 0."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, save_embedding_layers=False, selected_adapters=["default"])
    tokenizer.save_pretrained(folder)
