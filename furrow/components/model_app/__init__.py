"""Slot `model_app`: a model that answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from furrow.components.errors import FurrowError
from furrow.components.generation import GenerationConfig
from furrow.components.prompt_template import Message


class ModelApp(Protocol):
    """The factory takes the config and a `Served` (what to answer with), and returns one of these; for a model with
    `labels`, a `Judge`."""

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        """Pieces of the answer to an already rendered prompt, as they come, without stop texts and end token."""
        ...


class ChatApp(ModelApp, Protocol):
    """An app whose model knows a template of its own; augmentations ask such a one."""

    def chat(self, messages: Sequence[Message], generation: GenerationConfig) -> Iterator[str]:
        """Pieces of the answer to a conversation that ends with the user, rendered as the model itself has it. Raises
        CutOff behind the last piece where max_new_tokens ended it."""
        ...


class CutOff(FurrowError):
    """The answer was not at its end."""

    def __init__(self, generation: GenerationConfig) -> None:
        super().__init__(
            f"the answer was cut at {generation.max_new_tokens} tokens", remedy="raise generation.max_new_tokens"
        )


class Judge(Protocol):
    """Scores a text instead of continuing it."""

    def scores(self, ids: Sequence[int]) -> Mapping[str, float]:
        """Of a text's token ids: the probability of every class; of a reward model, its one score."""
        ...
