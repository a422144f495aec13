"""How much to keep for measuring, by the size of the set: the guide's table of ratios, with the reason in figures.

A mean over n rows is uncertain by s / sqrt(n), s being how much the loss differs from row to row, which is about 1 nat:
with 20 rows by 0.2, with 100 by 0.1, with 1,000 by 0.03. Beyond that, rows are better learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from furrow.components.plural import plural
from furrow.strategies.defaults import EVAL_SPLIT


@dataclass(frozen=True)
class Advice:
    """One line of the table."""

    below: float
    """Sets of fewer rows than this."""
    eval_percent: int
    why: str
    folds: int = 0
    """How many folds are better than one split; 0: none needed."""

    @property
    def ratio(self) -> str:
        return f"{100 - self.eval_percent}/{self.eval_percent}"

    @property
    def told(self) -> str:
        """What to do, and why."""
        folds = f"a k_fold splitter with {self.folds} folds, or " if self.folds else ""
        return f"{folds}{self.ratio} ({self.why})"


TABLE = (
    Advice(100, 5, "a few rows measure next to nothing, and each is missed in training", folds=5),
    Advice(500, 20, "20 to 100 rows to measure on"),
    Advice(2_000, 15, "75 to 300 rows to measure on"),
    Advice(20_000, 10, "200 to 2,000 rows to measure on"),
    Advice(math.inf, 5, "1,000 rows and more to measure on; others are better learned"),
)
TUNING = Advice(math.inf, 30, "many settings are compared on the same rows, and the best one is partly luck")
"""The guide's ratio for tuning of hyperparameters, at any size."""
FEW, MANY = 10, 5_000
"""Evaluation rows: fewer say little, more take time and say no more."""


def advice(rows: int) -> Advice:
    """What suits a set of so many rows (those to learn and those to measure on together)."""
    line = next(line for line in TABLE if rows < line.below)
    return replace(line, folds=0) if rows < line.folds else line  # each fold has a row


def odd(rows: int, measured: int) -> str | None:
    """What there is to say of a split that does not suit the size; None where it does."""
    suits = advice(rows)
    if measured < FEW:
        if not measured and not rows:
            return None
        few = f"{plural(measured, 'row is', 'rows are')} few to measure on" if measured else "no row is measured on"
        return f"{few}: of {plural(rows, 'row')} the usual is {suits.told}"
    if measured > MANY and measured > rows * EVAL_SPLIT * 1.5:
        return (
            f"{plural(measured, 'row is', 'rows are')} many to measure on: of {rows:,} rows the usual is {suits.told}"
        )
    return None
