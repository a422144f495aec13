"""Examples seen otherwise, without a copy: several sets as one, short ones packed together, the borrowed answers."""

from __future__ import annotations

import bisect
import itertools
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, cast, overload

import numpy as np

from furrow.components.records import (
    AnyExample,
    Counted,
    Example,
    Judged,
    Packed,
    largest_id,
    learned_tokens,
    longest,
    sequence_lengths,
    total_tokens,
)


class View(Counted):
    """Rows that are made when they are asked for."""

    @abstractmethod
    def row(self, place: int) -> AnyExample:
        """The one at this place, counted from 0."""

    @overload
    def __getitem__(self, place: int) -> AnyExample: ...

    @overload
    def __getitem__(self, place: slice) -> list[AnyExample]: ...

    def __getitem__(self, place: int | slice) -> AnyExample | list[AnyExample]:
        chosen = range(len(self))[place]
        return self.row(chosen) if isinstance(chosen, int) else [self.row(each) for each in chosen]

    def __iter__(self) -> Iterator[AnyExample]:
        return map(self.row, range(len(self)))

    @property
    def total_tokens(self) -> int:
        return total_tokens(iter(self))

    @property
    def learned_tokens(self) -> int:
        return learned_tokens(iter(self))

    @property
    def longest(self) -> int:
        return longest(iter(self))

    @property
    def largest_id(self) -> int:
        return largest_id(iter(self))

    def sequence_lengths(self, place: int) -> list[int]:
        return [len(sequence.input_ids) for sequence in self.row(place).sequences]


class Chained(View):
    """One set after the other."""

    def __init__(self, *sets: Sequence[AnyExample]) -> None:
        self.sets = sets
        self._ends = list(itertools.accumulate(map(len, sets)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def row(self, place: int) -> AnyExample:
        rows, within = self._at(place)
        return rows[within]

    def __iter__(self) -> Iterator[AnyExample]:
        return itertools.chain.from_iterable(self.sets)

    @property
    def total_tokens(self) -> int:
        return sum(map(total_tokens, self.sets))

    @property
    def weighted(self) -> bool:
        return any(not isinstance(rows, Counted) or rows.weighted for rows in self.sets)

    @property
    def learned_tokens(self) -> int:
        return sum(map(learned_tokens, self.sets))

    @property
    def longest(self) -> int:
        return max(map(longest, self.sets), default=0)

    @property
    def largest_id(self) -> int:
        return max(map(largest_id, self.sets), default=0)

    def sequence_lengths(self, place: int) -> list[int]:
        return sequence_lengths(*self._at(place))

    def _at(self, place: int) -> tuple[Sequence[AnyExample], int]:
        number = bisect.bisect_right(self._ends, place)
        return self.sets[number], place - (self._ends[number - 1] if number else 0)


class Chosen(View):
    """Those that stand at these places of `rows`, in that order."""

    def __init__(self, rows: Sequence[AnyExample], places: np.ndarray) -> None:
        self._rows, self._places = rows, places

    def __len__(self) -> int:
        return len(self._places)

    def row(self, place: int) -> AnyExample:
        return self._rows[int(self._places[place])]

    def sequence_lengths(self, place: int) -> list[int]:
        return sequence_lengths(self._rows, int(self._places[place]))


class PackedExamples(View):
    """All of `rows`, of which those at places[0:ends[0]] are the first pack, those up to places[ends[1]] the second."""

    def __init__(self, rows: Sequence[Example], places: np.ndarray, ends: np.ndarray) -> None:
        self._rows, self._places, self._ends = rows, places, ends

    @property
    def unpacked(self) -> Chosen:
        """Their members, pack by pack."""
        return Chosen(self._rows, self._places)

    def __len__(self) -> int:
        return len(self._ends)

    def row(self, place: int) -> Packed:
        return Packed(tuple(self._rows[each] for each in self._members(place)))

    @property
    def total_tokens(self) -> int:
        return total_tokens(self._rows)

    @property
    def weighted(self) -> bool:
        return not isinstance(self._rows, Counted) or self._rows.weighted

    @property
    def learned_tokens(self) -> int:
        return learned_tokens(self._rows)

    @property
    def longest(self) -> int:
        return longest(self._rows)

    @property
    def largest_id(self) -> int:
        return largest_id(self._rows)

    def sequence_lengths(self, place: int) -> list[int]:
        return [length for each in self._members(place) for length in sequence_lengths(self._rows, each)]

    def _members(self, place: int) -> Any:
        begin = self._ends[place - 1] if place else 0
        return self._places[begin : self._ends[place]].tolist()


class Unrelated(View):
    """Of judged answers, those to other prompts."""

    def __init__(self, judged: Sequence[AnyExample]) -> None:
        self._judged = cast(Sequence[Judged], judged)

    def __len__(self) -> int:
        return len(self._judged)

    def row(self, place: int) -> Example:
        return self._judged[place].unrelated
