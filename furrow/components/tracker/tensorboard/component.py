"""The tracker `tensorboard`. Here, only its settings."""

from __future__ import annotations

from furrow.components.config import Config
from furrow.components.registry import Component


class TensorBoardConfig(Config):
    """It has no settings; the files lie in the folder `tensorboard` of the run."""


COMPONENT = Component(
    summary="losses, learning rate and gradient norm as TensorBoard files",
    config=TensorBoardConfig,
    factory="furrow.components.tracker.tensorboard.tracker:TensorBoardTracker",
    requires=("tensorboard",),
    extra="tensorboard",
)
