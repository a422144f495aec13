"""When two rows are equal, and when two sets of them are: short digests of what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.messages import json_kind
from furrow.components.records import Row

NUMBERING = frozenset({"id", "_id", "idx", "index", "uuid"})
"""Columns that number rows and say nothing: two rows that differ only here are equal."""


_WRITTEN = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode


def canonical(row: Row) -> str:
    """All that the row says, in one way of writing it: columns in the order of the alphabet, null counts as absent.

    Raises RequestError, with `file:line`, for a value that JSON does not have."""
    try:
        return _WRITTEN({name: value for name, value in row.columns.items() if value is not None})
    except (TypeError, ValueError) as error:
        raise no_json(row) from error


def no_json(row: Row) -> RequestError:
    """What is wrong with a row that could not be written: which of its columns holds what JSON does not have."""

    def fits(value: Any) -> bool:
        try:
            json.dumps(value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError):
            return False
        return True

    wrong = (f"column {name!r} is {json_kind(value)}" for name, value in row.columns.items() if not fits(value))
    return RequestError(
        next(wrong, "the name of a column is no text") + ", which JSON does not have",
        where=row.where,
        remedy="the reader must give text, numbers, true or false, null, lists and objects",
    )


def fingerprint(row: Row, said: str | None = None) -> bytes:
    """16 bytes, the same for equal rows: same columns with the same values, in any order; null counts as absent.
    `said`: what `canonical` gives, where it is known."""
    if said is None or not NUMBERING.isdisjoint(row.columns):
        columns = {name: value for name, value in row.columns.items() if value is not None and name not in NUMBERING}
        said = _WRITTEN(columns)
    return hashlib.blake2b(said.encode("ascii"), digest_size=16).digest()


MARKS = 256
"""At most so many places of a data set are marked, so that a later one is told from it within n / 256 rows."""


class DataPrint:
    """What the rows of a set say, all columns of all of them in their order, however their files are written."""

    def __init__(self) -> None:
        self._rows, self._every = 0, 1
        self._running = hashlib.sha256()
        self._marks: list[str] = []

    def add(self, said: str) -> None:
        """The next row, as `canonical` gives it."""
        self._rows += 1
        self._running.update(hashlib.sha256(said.encode("ascii")).digest())
        if self._rows > self._every * MARKS:
            self._marks, self._every = self._marks[1::2], self._every * 2
        if self._rows % self._every == 0:
            self._marks.append(self._running.hexdigest()[:8])

    def facts(self) -> dict[str, Any]:
        """`rows` (how many), `sha256`, and `marks`, the running digest after every `every` rows."""
        marks = " ".join(self._marks)
        return {"rows": self._rows, "sha256": self._running.hexdigest(), "every": self._every, "marks": marks}


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[int, int]:
    """Between which rows, counted from 1, the first one stands that differs: the same number twice in small sets.

    It may be one beyond the end of the shorter set.
    """
    step = max(before["every"], now["every"])
    marks = [each["marks"].split()[step // each["every"] - 1 :: step // each["every"]] for each in (before, now)]
    same = 0
    for old, new in zip(*marks, strict=False):
        if old != new:
            break
        same += 1
    return same * step + 1, max(min((same + 1) * step, max(before["rows"], now["rows"])), same * step + 1)
