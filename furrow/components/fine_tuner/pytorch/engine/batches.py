"""Which rows make up which step: a function of (seed, step) and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BatchPlan:
    """Cuts `rows` rows into effective batches; the last one of an epoch is smaller if the rows do not divide."""

    rows: int
    effective_rows: int
    epochs: float
    max_steps: int
    seed: int | None
    """Of the order of the rows; None keeps their own."""

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.rows / self.effective_rows)

    @property
    def total_steps(self) -> int:
        """max_steps where it is positive, else epochs in steps, rounded up as transformers does."""
        return self.max_steps if self.max_steps > 0 else math.ceil(self.epochs * self.steps_per_epoch)

    def steps(self, after: int = 0) -> Iterator[tuple[int, list[int]]]:
        """(number of the step, counted from 1, its row numbers) of every step that comes after `after` steps.

        An epoch follows the other, each in its own shuffled order.
        """
        epoch, order = -1, list[int]()
        for step in range(after, self.total_steps):
            this_epoch, position = divmod(step, self.steps_per_epoch)
            if this_epoch != epoch:
                epoch, order = this_epoch, self.order(this_epoch)
            yield step + 1, order[position * self.effective_rows : (position + 1) * self.effective_rows]

    def order(self, epoch: int) -> list[int]:
        """The permutation of the rows in this epoch."""
        if self.seed is None:
            return list(range(self.rows))
        generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        return torch.randperm(self.rows, generator=generator).tolist()

    def epoch_at(self, step: int) -> float:
        """Epochs finished after `step` steps."""
        return step / self.steps_per_epoch


def seed_of(seed: int, count: int) -> int:
    """One seed from the run's seed and a count (of epochs, of steps): far apart for neighbours, the same everywhere."""
    return (seed * 0x9E3779B97F4A7C15 + count * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**63
