"""When two rows are equal, and when two sets of them are: short digests of what they say."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from furrow.components.records import Row

NUMBERING = frozenset({"id", "_id", "idx", "index", "uuid"})
"""Columns that number rows and say nothing: two rows that differ only here are equal."""


def fingerprint(row: Row) -> bytes:
    """16 bytes, the same for equal rows: same columns with the same values, in any order; null counts as absent."""
    said = {name: value for name, value in row.columns.items() if value is not None and name not in NUMBERING}
    text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode("ascii"), digest_size=16).digest()


MARKS = 256
"""At most so many places of a data set are marked, so that a later one is told from it within n / 256 rows."""


def data_print(rows: Sequence[Row]) -> dict[str, Any]:
    """What the rows say, all columns of all of them in their order, however their files are written: `rows` (how many),
    `sha256`, and `marks`, the running digest after every `every` rows. null counts as absent, as above."""
    every = 1
    while every * MARKS < len(rows):
        every *= 2
    running, marks = hashlib.sha256(), []
    for number, row in enumerate(rows, 1):
        said = {name: value for name, value in row.columns.items() if value is not None}
        text = json.dumps(said, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        running.update(hashlib.sha256(text.encode("ascii")).digest())
        if number % every == 0:
            marks.append(running.hexdigest()[:8])
    return {"rows": len(rows), "sha256": running.hexdigest(), "every": every, "marks": " ".join(marks)}


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
