"""Writes the figures of each step as TensorBoard scalars."""

from __future__ import annotations

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from furrow.components.events import Evaluated, Event, StepEnded
from furrow.components.tracker.tensorboard.component import TensorBoardConfig


class TensorBoardTracker:
    """Implements `Tracker`; the tags are those of transformers, so that runs of both stand in one picture."""

    def __init__(self, config: TensorBoardConfig, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepEnded):
            self._write("train", event.step, loss=event.loss, learning_rate=event.learning_rate)
            self._write("train", event.step, grad_norm=event.grad_norm, epoch=event.epoch)
        elif isinstance(event, Evaluated):
            self._write("eval", event.step, loss=event.eval_loss, perplexity=event.eval_perplexity)

    def _write(self, group: str, step: int, **figures: float) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def close(self) -> None:
        self._writer.close()
