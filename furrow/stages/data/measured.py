"""What is measured on: rows made of training rows that say the same, or nearly so, are not learned."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import numpy as np

from furrow.components.records import Row
from furrow.stages.data.minhash import MinHash
from furrow.stages.data.print_set import PrintSet
from furrow.stages.data.shingles import GROUP, Shingled, compared

AT_ONCE = 1_000
"""Rows that are hashed in one go."""
_COMPARED_WITH = 64
"""Evaluation rows that one row is compared with at most, of those that share a band of hashes with it."""
_SHINGLED_KEPT = 4_096


class Measured:
    """Of every evaluation row what it asks (a print), and by which of its hashes it is found: at a similarity of 0.8
    150 bytes of memory a row."""

    def __init__(self, rows: Sequence[Row], similarity: float) -> None:
        self._similarity, self._hashing = similarity, MinHash.finding(similarity, GROUP)
        self._asked = PrintSet()
        keys = []
        for batch in _batches(rows):
            said = [compared(row) for row in batch]
            for each in said:
                if each.asked:
                    self._asked.add(_print(each.asked))
            keys.append(self._keys([each.whole for each in said]))
        joined = np.concatenate(keys, axis=1) if keys else np.empty((self._hashing.bands, 0), dtype=np.uint32)
        self._order = [np.argsort(band, kind="stable").astype(np.uint32) for band in joined]
        self._ordered = [band[order] for band, order in zip(joined, self._order, strict=True)]
        self._ready = functools.lru_cache(_SHINGLED_KEPT)(lambda place: Shingled.of(rows[place]))

    def among(self, rows: Sequence[Row]) -> list[bool]:
        """Of each row, whether an evaluation row asks the very same, case and punctuation apart, or is a near duplicate
        of it (`shingles.py`)."""
        if not len(self._asked) or not rows:
            return [False] * len(rows)
        said = [compared(row) for row in rows]
        keys = self._keys([each.whole for each in said])
        return [
            (bool(each.asked) and _print(each.asked) in self._asked) or self._is_like(row, keys[:, place])
            for place, (row, each) in enumerate(zip(rows, said, strict=True))
        ]

    def _is_like(self, row: Row, keys: np.ndarray) -> bool:
        met: set[int] = set()
        for key, ordered, order in zip(keys, self._ordered, self._order, strict=True):
            start = int(np.searchsorted(ordered, key, "left"))
            end = int(np.searchsorted(ordered, key, "right"))
            met.update(order[start : min(end, start + _COMPARED_WITH)].tolist())
        if not met:
            return False
        shingled = Shingled.of(row)
        return any(
            self._ready(place).is_like(shingled, self._similarity)
            for place in itertools.islice(sorted(met), _COMPARED_WITH)
        )

    def _keys(self, texts: Sequence[str]) -> np.ndarray:
        return self._hashing.keys(self._hashing.signatures(texts))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    each = iter(rows)
    while batch := list(itertools.islice(each, AT_ONCE)):
        yield batch


def _print(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
