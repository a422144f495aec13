"""The answer has a certain length: 1 at the target, falling to 0 in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from furrow.components.config import Config
from furrow.components.registry import Component
from furrow.components.reward import Asked


class LengthConfig(Config):
    """How long an answer shall be."""

    words: Annotated[int, Field(ge=1)]
    """Words that an answer shall have, cut at white space. The reward falls linearly to 0 at none and at twice as
    many."""


class Length:
    """Counts words."""

    def __init__(self, config: LengthConfig) -> None:
        self._target = config.words

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[Asked]) -> list[float]:
        return [max(0.0, 1 - abs(len(text.split()) - self._target) / self._target) for text in completions]


COMPONENT = Component(
    summary="1 for an answer of the wanted number of words, less for longer and shorter ones",
    config=LengthConfig,
    factory="furrow.components.reward.length:Length",
)
