"""Cuts an effective batch into micro-batches by a budget of tokens. Gradients are sums: no cut changes a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import overload

import numpy as np

from furrow.components.records import AnyExample, Counted, Packed, sequence_lengths
from furrow.components.stored.views import Chained, PackedExamples


class Pieces(Sequence[list[AnyExample]]):
    """Micro-batches of `rows`; the rows of one that lie on disk are made when it is asked for."""

    def __init__(self, rows: Sequence[AnyExample], order: np.ndarray, ends: list[int]) -> None:
        self._rows, self._order, self._ends = rows, order, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, number: int) -> list[AnyExample]: ...

    @overload
    def __getitem__(self, number: slice) -> list[list[AnyExample]]: ...

    def __getitem__(self, number: int | slice) -> list[AnyExample] | list[list[AnyExample]]:
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        return [self._rows[place] for place in self.places(number).tolist()]

    def places(self, number: int) -> np.ndarray:
        """Which of the rows make up that piece."""
        number = range(len(self))[number]
        return self._order[self._ends[number - 1] if number else 0 : self._ends[number]]

    def cut_again(self, pieces: int, budget: int, tokens_of: Callable[[Sequence[int]], int]) -> Pieces:
        """The first so many pieces, cut anew; `places` counts as before."""
        return _cut(self._rows, self._order[: self._ends[pieces - 1]], budget, tokens_of)


def cut(batch: Sequence[AnyExample], budget: int, tokens_of: Callable[[Sequence[int]], int]) -> Pieces:
    """Pieces of about equal size, each within `budget` tokens (one row alone may be larger), rows by length.

    `tokens_of(lengths)` says how many tokens sequences of these lengths take up, padding included. The rows of a pack
    are cut apart like any others: that it counts as one row is over once the batch is drawn.
    """
    rows = _unpacked(batch)
    return _cut(rows, np.arange(len(rows)), budget, tokens_of)


def _unpacked(batch: Sequence[AnyExample]) -> Sequence[AnyExample]:
    if isinstance(batch, PackedExamples):
        return batch.unpacked
    if isinstance(batch, Chained):
        return Chained(*map(_unpacked, batch.sets))
    if isinstance(batch, Counted):
        return batch
    return [one for row in batch for one in (row.sequences if isinstance(row, Packed) else (row,))]


def _cut(
    rows: Sequence[AnyExample], places: np.ndarray, budget: int, tokens_of: Callable[[Sequence[int]], int]
) -> Pieces:
    sizes = [sequence_lengths(rows, place) for place in places.tolist()]
    by_length = np.argsort(np.fromiter(map(max, sizes), np.int64, len(sizes)), kind="stable")
    whole = sum(map(tokens_of, sizes))
    fair = whole / max(1, math.ceil(whole / budget))
    ends: list[int] = []
    lengths: list[int] = []
    for end, number in enumerate(by_length.tolist(), 1):
        now = tokens_of(lengths) if lengths else 0
        if ends and now < fair and tokens_of([*lengths, *sizes[number]]) <= budget:
            ends[-1] = end
            lengths += sizes[number]
        else:
            ends.append(end)
            lengths = list(sizes[number])
    return Pieces(rows, places[by_length], ends)
