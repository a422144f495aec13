"""The answer says certain things: the share of them that it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from furrow.components.config import Config
from furrow.components.registry import Component
from furrow.components.reward import Asked

Text = Annotated[str, Field(min_length=1)]


class ContainsConfig(Config):
    """What is to be said."""

    texts: tuple[Text, ...] = ()
    """Texts that shall occur, each once or more. Default: the answer in the data, with white space around it taken
    off."""
    ignore_case: bool = False
    """Take `March` and `march` for the same."""

    @field_validator("texts", mode="before", json_schema_input_type=list[Text])
    @classmethod
    def _list(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given


class Contains:
    """Looks for whole texts. Says nothing about what else is there, so that length goes unpunished: add `length`."""

    def __init__(self, config: ContainsConfig) -> None:
        self._config = config

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[Asked]) -> list[float]:
        return [
            self._share(completion, self._config.texts or (row.answer.strip(),))
            for completion, row in zip(completions, rows, strict=True)
        ]

    def _share(self, completion: str, wanted: Sequence[str]) -> float:
        return sum(self._read(text) in self._read(completion) for text in wanted) / len(wanted)

    def _read(self, text: str) -> str:
        return text.casefold() if self._config.ignore_case else text


COMPONENT = Component(
    summary="the share of the wanted texts that occur in the answer",
    config=ContainsConfig,
    factory="furrow.components.reward.contains:Contains",
)
