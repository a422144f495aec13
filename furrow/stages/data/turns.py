"""Conversations that are too long lose whole turns, the oldest first: what a server would leave out of them too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from furrow.components.columns import MESSAGES
from furrow.components.records import Row


def without_first_turn(row: Row) -> Row | None:
    """The row without the first question, its answer and all that belongs to them; the system message stays. None where
    there is one turn alone."""
    column = next((name for name in MESSAGES if isinstance(row.columns.get(name), list)), None)
    if column is None:
        return None
    messages = row.columns[column]
    asked = [number for number, message in enumerate(messages) if _role(message) in ("user", "human")]
    if len(asked) < 2:
        return None
    left = [*(message for message in messages[: asked[0]] if _role(message) == "system"), *messages[asked[1] :]]
    return replace(row, columns={**row.columns, column: left})


def has_system(row: Row) -> bool:
    """Whether the row brings a system message."""
    if row.columns.get("system"):
        return True
    lists = (row.columns.get(name) for name in MESSAGES)
    return any(isinstance(given, list) and given and _role(given[0]) == "system" for given in lists)


def _role(message: Any) -> Any:
    return message.get("role", message.get("from")) if isinstance(message, Mapping) else None
