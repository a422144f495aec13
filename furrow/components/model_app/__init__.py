"""Slot `model_app`: a model that answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from furrow.components.generation import GenerationConfig


class ModelApp(Protocol):
    """The factory takes the config and a `Served` (what to answer with)."""

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        """Pieces of the answer to an already rendered prompt, as they come, without stop texts and end token."""
        ...
