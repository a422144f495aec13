"""Rows that stay together, as arrays: which unit each row belongs to, and a lot drawn for each unit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from furrow.components.errors import RequestError, did_you_mean
from furrow.components.records import Row
from furrow.components.stored.rows import Prints


@dataclass(frozen=True)
class Units:
    """Rows by what holds them together. Units are numbered in no particular order."""

    of_row: np.ndarray
    """For each row the number of its unit."""
    first: np.ndarray
    """For each unit its first row."""
    sizes: np.ndarray
    """For each unit its rows."""
    keys: np.ndarray
    """For each unit the 16 bytes that its rows have in common: [units, 2] of uint64."""

    def __len__(self) -> int:
        return len(self.sizes)

    def lots(self, seed: int) -> np.ndarray:
        """A number drawn for each unit, uniform in 0..2**64: the same whatever other units there are."""
        drawn, keys = hashlib.blake2b(key=seed.to_bytes(8, "big"), digest_size=16), self.keys.tobytes()
        lots = bytearray()
        for start in range(0, len(keys), 16):
            lot = drawn.copy()
            lot.update(keys[start : start + 16])
            lots += lot.digest()[:8]
        return np.frombuffer(lots, dtype=">u8").astype(np.uint64)


def units(keys: Sequence[bytes]) -> Units:
    """Rows with the same key (16 bytes of a hash) are one unit."""
    pairs = getattr(keys, "array", None)
    if pairs is None:
        pairs = np.frombuffer(b"".join(keys), dtype=np.uint64).reshape(-1, 2)
    leader = Prints(pairs).first_of_each()
    first = np.flatnonzero(leader == np.arange(len(leader)))
    if len(first) == len(leader):  # mostly so, and then it takes no memory
        return Units(leader, first, np.ones(len(first), dtype=np.int32), pairs)
    of_row = np.searchsorted(first, leader)
    return Units(of_row, first, np.bincount(of_row), np.ascontiguousarray(pairs[first]))


def keys_of(rows: Sequence[Row], column: str) -> Prints:
    """What the rows have in this column, as 16 bytes each. Raises RequestError for a row that has nothing there."""
    keys = bytearray()
    for row in rows:
        text = json.dumps(value_of(row, column), sort_keys=True, ensure_ascii=False)
        keys += hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
    return Prints(np.frombuffer(bytes(keys), dtype=np.uint64).reshape(-1, 2))


def value_of(row: Row, column: str, *, may_be_null: bool = False) -> Any:
    """What stands in the column. Raises RequestError, with `file:line`, where there is none."""
    value = row.columns.get(column)
    if value is None and not (may_be_null and column in row.columns):
        state = "is null" if column in row.columns else "is not there"
        remedy = f"dataset.splitter asks for it; {did_you_mean(column, row.columns)}"
        raise RequestError(f"column {column!r} {state}", where=row.where, remedy=remedy)
    return value


def taken(order: np.ndarray, sizes: np.ndarray, rows: int) -> np.ndarray:
    """Units, in this order, that have so many rows together: one that is larger than what is missing is passed over.
    The last in order stays in any case."""
    candidates = order[:-1]
    if not len(candidates) or sizes[candidates].max() == 1:
        return candidates[:rows]
    found = []
    for unit in candidates.tolist():
        if rows <= 0:
            break
        if sizes[unit] <= rows:
            found.append(unit)
            rows -= int(sizes[unit])
    return np.array(found, dtype=np.int64)


def numbers(of_units: np.ndarray, all_units: Units) -> list[int]:
    """The rows of these units, ascending."""
    is_chosen = np.zeros(len(all_units), dtype=bool)
    is_chosen[of_units] = True
    return np.flatnonzero(is_chosen[all_units.of_row]).tolist()
