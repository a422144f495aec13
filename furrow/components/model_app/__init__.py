"""Slot `model_app`: a model that answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from furrow.components.generation import GenerationConfig


class ModelApp(Protocol):
    """The factory takes the config and a `Served` (what to answer with), and returns one of these; for a model with
    `labels`, a `Judge`."""

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        """Pieces of the answer to an already rendered prompt, as they come, without stop texts and end token."""
        ...


class Judge(Protocol):
    """Scores a text instead of continuing it."""

    def scores(self, ids: Sequence[int]) -> Mapping[str, float]:
        """Of a text's token ids: the probability of every class; of a reward model, its one score."""
        ...
