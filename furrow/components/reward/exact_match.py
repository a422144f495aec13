"""The answer is the one in the data: 1, else 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from furrow.components.config import Config
from furrow.components.registry import Component
from furrow.components.reward import Asked


class ExactMatchConfig(Config):
    """What counts as the same."""

    ignore_case: bool = False
    """Take `March` and `march` for the same. White space never counts, but between words."""
    after: Annotated[str, Field(min_length=1)] | None = None
    """Compare only what stands after the last of this text, in both: `####` or `Answer:` where an answer reasons before
    it concludes. A completion without it gets 0. Default: compare the whole."""


class ExactMatch:
    """Compares by words."""

    def __init__(self, config: ExactMatchConfig) -> None:
        self._config = config

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[Asked]) -> list[float]:
        return [
            float(self._conclusion(completion) == (self._conclusion(row.answer) or self._words(row.answer)))
            for completion, row in zip(completions, rows, strict=True)
        ]

    def _conclusion(self, text: str) -> list[str] | None:
        """The words to compare; None where the text comes to no conclusion. The data may hold the conclusion alone."""
        marker = self._config.after
        if marker is not None and marker not in text:
            return None
        return self._words(text.rpartition(marker)[2] if marker else text)

    def _words(self, text: str) -> list[str]:
        return (text.casefold() if self._config.ignore_case else text).split()


COMPONENT = Component(
    summary="1 where the answer is the one in the data, else 0",
    config=ExactMatchConfig,
    factory="furrow.components.reward.exact_match:ExactMatch",
)
