"""Which texts of a row may be varied, and the row with other texts in their places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from furrow.components.columns import ANSWER, MESSAGES, PARTS, known_shape, listed
from furrow.components.errors import RequestError, did_you_mean, shortened
from furrow.components.layouts import LABEL
from furrow.components.messages import ROLES
from furrow.components.preferences import is_judged, is_pair
from furrow.components.records import Row

Place = tuple[str | int, ...]
"""(column,), or (column, number of the message, its key)."""


def texts_of(row: Row, columns: Sequence[str] = (), *, plain: bool = False) -> dict[Place, str]:
    """What may be varied, where it stands: the texts of these columns, or, without any, what the row asks. `plain`:
    plain text, too. Raises RequestError with `file:line` where there is nothing."""
    chosen = columns or _asking(row, plain)
    there = [name for name in chosen if row.columns.get(name) is not None]
    if not there:
        raise RequestError(
            f"there is none of the columns {', '.join(map(shortened, chosen))}; columns: {listed(row)}",
            where=row.where,
            remedy=f"dataset.augmentation.columns: {did_you_mean(chosen[0], row.columns)}",
        )
    found: dict[Place, str] = {}
    for name in there:
        value = row.columns[name]
        if name in MESSAGES and isinstance(value, list):
            found |= _said_by_the_user(name, value)
        elif isinstance(value, str):
            found[(name,)] = value
        else:
            raise RequestError(f"column {shortened(name)!r} is no text, and cannot be varied", where=row.where)
    return {place: text for place, text in found.items() if text.strip()}


def with_texts(row: Row, texts: Mapping[Place, str]) -> Row:
    """The row with these texts in these places."""
    columns = dict(row.columns)
    for (column, *inner), text in texts.items():
        name = str(column)
        if inner:
            number, key = inner
            messages = list(columns[name])
            messages[int(number)] = {**messages[int(number)], str(key): text}
            columns[name] = messages
        else:
            columns[name] = text
    return Row(columns, row.where, row.source)


def _asking(row: Row, plain: bool) -> Sequence[str]:
    given = [name for name, value in row.columns.items() if value is not None]
    if not is_pair(row) and not is_judged(row):
        match known_shape(row):
            case "messages":
                return [name for name in MESSAGES if name in given]
            case "pair":
                asking = [name for name in PARTS if name in given]
                return ([name for name in asking if row.columns[name] != ""] or asking)[:1]
            case "text" if plain or any(name in given for name in LABEL):
                return ["text"]
            case "text":
                raise RequestError(
                    "the row is plain text, which this augmentation does not vary",
                    where=row.where,
                    remedy="use token_replacement, or name the column: dataset.augmentation.columns: [text]",
                )
    raise RequestError(
        f"no question that could be varied is known among: {listed(row)}",
        where=row.where,
        remedy="dataset.augmentation takes rows of instruction/output, prompt/completion, messages and text; or name "
        f"columns in dataset.augmentation.columns (answers are {', '.join(ANSWER)})",
    )


def _said_by_the_user(name: str, messages: list[Any]) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping):
            continue
        role, key = ("from", "value") if "from" in message else ("role", "content")
        if ROLES.get(str(message.get(role))) == "user" and isinstance(message.get(key), str):
            found[(name, number, key)] = message[key]
    return found
