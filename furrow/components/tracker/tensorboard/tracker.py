"""Writes the figures of each step as TensorBoard scalars."""

from __future__ import annotations

from torch.utils.tensorboard import SummaryWriter

from furrow.components.events import Event, Resumed, RolledBack
from furrow.components.tracker import TrackedRun
from furrow.components.tracker.figures import figures
from furrow.components.tracker.tensorboard.component import TensorBoardConfig


class TensorBoardTracker:
    """Implements `Tracker`."""

    def __init__(self, config: TensorBoardConfig, run: TrackedRun) -> None:
        self._folder = str(run.folder / "tensorboard")
        self._writer = SummaryWriter(self._folder)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resumed | RolledBack):  # later steps, of before, are shown no more
            self._writer.close()
            self._writer = SummaryWriter(self._folder, purge_step=event.step + 1)
        if found := figures(event):
            step, values = found
            for tag, value in values.items():
                self._writer.add_scalar(tag, value, step)

    def close(self, *, failed: bool = False) -> None:
        self._writer.close()
