"""The answer is a JSON object with certain keys: half for the form, half for the keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, field_validator

from furrow.components.config import Config
from furrow.components.registry import Component
from furrow.components.reward import Asked

FORM = 0.5
"""Part of the reward for being an object at all: there is something to climb before the first key is right."""


class JsonObjectConfig(Config):
    """Which keys an object shall have."""

    keys: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Keys that shall be there, no more and no fewer. Default: any object gets the whole reward."""

    @field_validator("keys", mode="before", json_schema_input_type=list[str])
    @classmethod
    def _list(cls, given: object) -> object:
        return tuple(given) if isinstance(given, list) else given


class JsonObject:
    """Parses the whole answer; text around the object makes it no object."""

    def __init__(self, config: JsonObjectConfig) -> None:
        self._keys = set(config.keys)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[Asked]) -> list[float]:
        return [self._worth(completion) for completion in completions]

    def _worth(self, completion: str) -> float:
        try:
            found = json.loads(completion)
        except (ValueError, RecursionError):
            return 0.0
        if not isinstance(found, dict):
            return 0.0
        every = self._keys | found.keys() if self._keys else set[str]()
        return FORM + (1 - FORM) * (len(self._keys & found.keys()) / len(every) if every else 1.0)


COMPONENT = Component(
    summary="how nearly the answer is a JSON object with the wanted keys",
    config=JsonObjectConfig,
    factory="furrow.components.reward.json_object:JsonObject",
)
