"""Rows that say what others say: twice on one side, on both sides, or the same question with another answer."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from furrow.components.events import Emit
from furrow.components.stored.rows import StoredRows, first_of_equal
from furrow.stages.data.duplicates import near_groups
from furrow.stages.data.shingles import ANSWERS_ALIKE, compared, jaccard, shingles


@dataclass(frozen=True)
class Copies:
    """Places in `Rows.both`, ascending: of rows that repeat an earlier one of their side, and of evaluation rows that
    are learned too."""

    exact: np.ndarray
    near: np.ndarray
    """Beside the exact ones."""
    leaked: np.ndarray
    nearly_leaked: np.ndarray
    """Beside the exact ones."""


def copies_in(rows: StoredRows, learned: int, similarity: float, emit: Emit) -> Copies:
    """`learned`: how many of them are learned."""
    sides = (rows[:learned].prints, rows[learned:].prints)
    is_exact = np.concatenate([side.first_of_each() != np.arange(len(side)) for side in sides])
    is_leaked = np.r_[np.zeros(learned, bool), sides[1].are_in(sides[0])]
    like = near_groups(rows, similarity, emit)
    is_near = np.zeros(len(rows), bool)
    crosses = np.zeros(len(rows), bool)
    for side, places in ((is_near, np.arange(learned)), (is_near, np.arange(learned, len(rows)))):
        side[places] = first_of_equal(like[places]) != np.arange(len(places))
    crosses[learned:] = np.isin(like[learned:], like[:learned])
    return Copies(
        np.flatnonzero(is_exact),
        np.flatnonzero(is_near & ~is_exact),
        np.flatnonzero(is_leaked),
        np.flatnonzero(crosses & ~is_leaked),
    )


def contradictions(rows: StoredRows, asked: array, answered: array) -> np.ndarray:
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


def _differ(rows: StoredRows, places: np.ndarray) -> bool:
    """Whether two of the answers are more than two wordings: they have little in common, or another number."""
    first, *others = (compared(rows[int(place)]) for place in places[:_COMPARED])
    return any(
        first.label != other.label
        or first.numbers != other.numbers
        or jaccard(shingles(first.answered), shingles(other.answered)) < ANSWERS_ALIKE
        for other in others
    )
