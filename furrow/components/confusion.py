"""Figures of a classifier, read from its confusion matrix: `confusion[i][j]` rows of class i were taken for class j."""

from __future__ import annotations

from collections.abc import Sequence

Confusion = Sequence[Sequence[int]]


def accuracy(confusion: Confusion) -> float:
    """Share of the rows that were put into their class; 0 where there is no row."""
    right = sum(row[number] for number, row in enumerate(confusion))
    return right / max(sum(map(sum, confusion)), 1)


def f1_by_class(confusion: Confusion) -> list[float | None]:
    """2 · right / (rows of the class + rows taken for it); None for a class that has neither."""
    taken = [sum(column) for column in zip(*confusion, strict=True)]
    return [
        2 * row[number] / (sum(row) + taken[number]) if sum(row) + taken[number] else None
        for number, row in enumerate(confusion)
    ]


def macro_f1(confusion: Confusion) -> float:
    """Mean F1 over the classes that occur, each of the same weight, however rare (scikit-learn's f1_score, macro)."""
    known = [f1 for f1 in f1_by_class(confusion) if f1 is not None]
    return sum(known) / max(len(known), 1)
