"""Which rows make up which step: a function of (seed, step), and of where the size of the batches was last changed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from furrow.components.errors import FurrowError


@dataclass(frozen=True)
class Position:
    """After `step` steps: `row` rows of the epoch are learned. `seed` is that of the order of this epoch."""

    step: int
    epoch: int
    row: int
    seed: int | None


@dataclass(frozen=True)
class BatchPlan:
    """Cuts `rows` rows into effective batches; the last one of an epoch is smaller if the rows do not divide."""

    rows: int
    effective_rows: int
    epochs: float
    max_steps: int
    seed: int | None
    """Of the order of the rows; None keeps their own."""
    begun: Position | None = None
    """Where these batches began, if not at the beginning: a run was gone on with under another size, or other rows."""

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.rows / self.effective_rows)

    @property
    def total_steps(self) -> int:
        """max_steps where it is positive, else epochs in steps, rounded up as transformers does."""
        if self.max_steps > 0:
            return self.max_steps
        start, wanted = self._start, math.ceil(self.epochs * self.steps_per_epoch)
        later = wanted - (start.epoch + 1) * self.steps_per_epoch
        if later >= 0:
            return start.step + self._steps_left + later
        rows = (wanted - start.epoch * self.steps_per_epoch) * self.effective_rows
        return start.step + max(0, math.ceil((rows - start.row) / self.effective_rows))

    def steps(self, after: int = 0) -> Iterator[tuple[int, list[int]]]:
        """(number of the step, counted from 1, its row numbers) of every step that comes after `after` steps.

        An epoch follows the other, each in its own shuffled order.
        """
        epoch, order = -1, torch.zeros(0, dtype=torch.long)
        for step in range(after, self.total_steps):
            at = self.position(step)
            if at.epoch != epoch:
                epoch, order = at.epoch, self._shuffled(at.epoch, at.seed)
            yield step + 1, order[at.row : at.row + self.effective_rows].tolist()

    def position(self, step: int) -> Position:
        """Where the run stands after so many steps; the end of an epoch is the beginning of the next one."""
        start = self._start
        done = step - start.step
        if done < 0:
            raise FurrowError(f"after step {step} the run had other batches than from step {start.step} on")
        if done < self._steps_left:
            return Position(step, start.epoch, start.row + done * self.effective_rows, start.seed)
        epochs, steps = divmod(done - self._steps_left, self.steps_per_epoch)
        return Position(step, start.epoch + 1 + epochs, steps * self.effective_rows, self.seed)

    def order(self, epoch: int) -> list[int]:
        """The permutation of the rows in this epoch."""
        order: list[int] = self._shuffled(epoch, self._start.seed if epoch == self._start.epoch else self.seed).tolist()
        return order

    def ends_epoch(self, step: int) -> bool:
        """Whether an epoch is over after that step."""
        return self.position(step).row == 0

    def epoch_at(self, step: int) -> float:
        """Epochs finished after `step` steps."""
        if self.begun is None:
            return step / self.steps_per_epoch
        at = self.position(step)
        return at.epoch + at.row / (self.effective_rows * self.steps_per_epoch)

    def numbers(self) -> dict[str, Any]:
        """For a checkpoint's state."""
        return {**asdict(self), "total_steps": self.total_steps}

    def after(self, step: int, was: Mapping[str, Any] | None) -> BatchPlan:
        """This plan for a run that did `step` steps of another one, whose numbers a checkpoint has (None: the same).

        With batches of another size the epoch goes on behind its last learned row; it keeps its order, so that it sees
        each row once, also where the seed is another one. With another number of rows it begins anew.
        """
        if was is None:
            return self
        told = {name: value for name, value in was.items() if name != "total_steps"}
        before = BatchPlan(**{**told, "begun": Position(**was["begun"]) if was["begun"] else None})
        if (before.rows, before.effective_rows, before.seed) == (self.rows, self.effective_rows, self.seed):
            return replace(self, begun=before.begun)
        at = before.position(step)
        if before.rows != self.rows or at.row == 0:
            at = Position(step, at.epoch, 0, self.seed)
        return replace(self, begun=at)

    @property
    def _start(self) -> Position:
        return self.begun or Position(0, 0, 0, self.seed)

    @property
    def _steps_left(self) -> int:
        """Of the epoch in which these batches began."""
        return math.ceil((self.rows - self._start.row) / self.effective_rows)

    def _shuffled(self, epoch: int, seed: int | None) -> torch.Tensor:
        if seed is None:
            return torch.arange(self.rows)
        generator = torch.Generator().manual_seed(seed_of(seed, epoch))
        return torch.randperm(self.rows, generator=generator)


def seed_of(seed: int, count: int) -> int:
    """One seed from the run's seed and a count (of epochs, of steps): far apart for neighbours, the same everywhere."""
    return (seed * 0x9E3779B97F4A7C15 + count * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**63
