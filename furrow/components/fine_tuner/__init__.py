"""Slot `fine_tuner`: labelled examples become an adapter or weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from furrow.components.events import Emit
from furrow.components.records import Example


class FineTuner(Protocol):
    """The factory takes the config."""

    @property
    def tokenizer(self) -> Any:
        """A transformers tokenizer of the base model; to be had without the weights, so that a dry run is quick."""
        ...

    def verify(self) -> None:
        """Raises RequestError where the device or the precision that the config asks for is not there."""
        ...

    def train(
        self,
        train: Sequence[Example],
        evaluation: Sequence[Example],
        *,
        order_seed: int | None,
        checkpoints: Path,
        final_model: Path,
        beside: Mapping[str, str],
        emit: Emit,
    ) -> None:
        """Trains on the rows in an order drawn by `order_seed` (None: in their own).

        Saves into `checkpoints` as configured, and publishes the model that is kept as `final_model`, with the text
        files `beside` (name -> content) in the same folder.
        """
        ...
