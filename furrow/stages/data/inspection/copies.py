"""Rows that say what others say: twice on one side, on both sides, or the same question with another answer."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from furrow.components.events import Emit
from furrow.components.records import Row
from furrow.stages.data.duplicates import near_groups
from furrow.stages.data.rows import prints_of
from furrow.stages.data.shingles import ANSWERS_ALIKE, compared, jaccard, shingles


class BothSides(Sequence[Row]):
    """The rows to learn, and behind them those to evaluate on."""

    def __init__(self, train: Sequence[Row], evaluation: Sequence[Row]) -> None:
        self._train, self._evaluation = train, evaluation

    def __len__(self) -> int:
        return len(self._train) + len(self._evaluation)

    @overload
    def __getitem__(self, at: int) -> Row: ...
    @overload
    def __getitem__(self, at: slice) -> list[Row]: ...
    def __getitem__(self, at: int | slice) -> Row | list[Row]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        if at < 0:
            at += len(self)
        return self._train[at] if at < len(self._train) else self._evaluation[at - len(self._train)]

    def __iter__(self) -> Iterator[Row]:
        yield from self._train
        yield from self._evaluation

    @property
    def prints(self) -> np.ndarray:
        """What each says: [rows, 2] of uint64."""
        return np.concatenate([prints_of(side).array for side in (self._train, self._evaluation)])


@dataclass(frozen=True)
class Copies:
    """Places in `BothSides`, ascending: of rows that repeat an earlier one of their side, and of evaluation rows that
    are learned too."""

    exact: np.ndarray
    near: np.ndarray
    """Beside the exact ones."""
    leaked: np.ndarray
    nearly_leaked: np.ndarray
    """Beside the exact ones."""


def copies_in(rows: BothSides, learned: int, similarity: float, emit: Emit) -> Copies:
    """`learned`: how many of them are learned."""
    prints = np.ascontiguousarray(rows.prints).view("V16").ravel()
    same = np.concatenate([_firsts(prints[:learned]), _firsts(prints[learned:]) + learned])
    is_exact = same != np.arange(len(rows))
    is_leaked = np.r_[np.zeros(learned, bool), np.isin(prints[learned:], prints[:learned])]
    like = near_groups(rows, similarity, emit)
    is_near = np.zeros(len(rows), bool)
    crosses = np.zeros(len(rows), bool)
    for side, places in ((is_near, np.arange(learned)), (is_near, np.arange(learned, len(rows)))):
        side[places] = _firsts(like[places]) != np.arange(len(places))
    crosses[learned:] = np.isin(like[learned:], like[:learned])
    return Copies(
        np.flatnonzero(is_exact),
        np.flatnonzero(is_near & ~is_exact),
        np.flatnonzero(is_leaked),
        np.flatnonzero(crosses & ~is_leaked),
    )


def contradictions(rows: BothSides, asked: array, answered: array) -> np.ndarray:
    """Places of rows whose question another row has, too, with an answer that says something else: ascending."""
    questions, answers = (np.frombuffer(values, dtype=np.uint64) for values in (asked, answered))
    order = np.lexsort((answers, questions))
    order = order[questions[order] != 0]
    ordered = questions[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else np.zeros(0, int)
    found: list[int] = []
    for places in np.split(order, starts[1:]):
        if len(places) > 1 and len(set(answers[places].tolist())) > 1 and _differ(rows, places):
            found += places.tolist()
    return np.array(sorted(found), dtype=np.int64)


_COMPARED = 20
"""Rows with one question of which the answers are compared."""


def _differ(rows: BothSides, places: np.ndarray) -> bool:
    """Whether two of the answers are more than two wordings: they have little in common, or another number."""
    first, *others = (compared(rows[int(place)]) for place in places[:_COMPARED])
    return any(
        first.label != other.label
        or first.numbers != other.numbers
        or jaccard(shingles(first.answered), shingles(other.answered)) < ANSWERS_ALIKE
        for other in others
    )


def _firsts(values: np.ndarray) -> np.ndarray:
    """For each the place of the first that is equal."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    places: np.ndarray = first[inverse]
    return places
