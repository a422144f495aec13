"""Slot `fine_tuner`: labelled examples become an adapter or weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from furrow.components.events import Emit
from furrow.components.records import Example


class FineTuner(Protocol):
    """The factory takes the config. The tokenizer can be had without the weights, so that a dry run is quick."""

    tokenizer: Any
    """A transformers tokenizer of the base model."""

    def train(self, train: Sequence[Example], evaluation: Sequence[Example], *, checkpoints: Path, final_model: Path,
              emit: Emit) -> None:
        """Trains, saving into `checkpoints` as configured, and publishes the model that is kept as `final_model`."""
        ...
