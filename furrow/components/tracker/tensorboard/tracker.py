"""Writes the figures of each step as TensorBoard scalars."""

from __future__ import annotations

from torch.utils.tensorboard import SummaryWriter

from furrow.components.events import Event
from furrow.components.tracker import TrackedRun
from furrow.components.tracker.figures import figures
from furrow.components.tracker.tensorboard.component import TensorBoardConfig


class TensorBoardTracker:
    """Implements `Tracker`."""

    def __init__(self, config: TensorBoardConfig, run: TrackedRun) -> None:
        self._writer = SummaryWriter(str(run.folder / "tensorboard"))

    def __call__(self, event: Event) -> None:
        if found := figures(event):
            step, values = found
            for tag, value in values.items():
                self._writer.add_scalar(tag, value, step)

    def close(self) -> None:
        self._writer.close()
