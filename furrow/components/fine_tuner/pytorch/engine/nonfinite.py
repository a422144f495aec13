"""Numbers that went wrong: where nan or inf comes from, and what the run remembers of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import torch

from furrow.components.errors import FurrowError
from furrow.components.events import Emit, NonFinite
from furrow.components.fine_tuner.pytorch.nonfinite import OnNonfiniteConfig
from furrow.components.records import AnyExample

SMALLEST_SCALE = 2.0**-10
"""Of fp16's scaler, which begins at 65,536 and is halved at each step that overflows. Below, the gradients do so by
themselves: one that is nan would be waited for without end."""
USUAL_NORM = 0.3
"""Of max_grad_norm, where one is set because of such steps."""


class Diverged(FurrowError):
    """A step whose numbers are not finite; nothing of it is left in the run."""

    def __init__(self, found: NonFinite, remedy: str, more: str = "") -> None:
        super().__init__(found.told + (f"; {more}" if more else ""), remedy=remedy)
        self.found = found

    def because(self, more: str) -> Diverged:
        """The same, which ends the run, and why nothing mends it."""
        return Diverged(self.found, self.remedy or "", more)

    @property
    def to_blame(self) -> int:
        """The step that is to be left out for it not to happen again."""
        return self.found.step if self.found.since is None else self.found.since


@dataclass
class Setbacks:
    """What a run remembers of such steps. With (seed, step) it is all that a later step depends on: a checkpoint holds
    it, so that a run that is interrupted after a setback goes on as it would have."""

    skipped: set[int] = field(default_factory=set)
    """Steps whose batch changes nothing: those of skip, and those that a rollback passes by."""
    rollbacks: int = 0
    learning_rate_scale: float = 1.0
    """What the learning rates of the curve are multiplied by, after all rollbacks so far."""

    def skipped_before(self, step: int) -> int:
        """Skipped steps in a row, up to the one before this."""
        count = 0
        while step - 1 - count in self.skipped:
            count += 1
        return count

    def last_update_before(self, step: int) -> int:
        """The step whose update made the weights that this one begins from; 0 for those of the beginning."""
        return step - 1 - self.skipped_before(step)

    def roll_back(self, step: int, scale: float) -> None:
        """From now on without the batch of that step, at a lower learning rate."""
        self.skipped.add(step)
        self.rollbacks += 1
        self.learning_rate_scale *= scale

    def numbers(self) -> dict[str, Any]:
        """For a checkpoint's state."""
        return {**vars(self), "skipped": sorted(self.skipped)}

    @classmethod
    def of(cls, numbers: Mapping[str, Any]) -> Self:
        """As a checkpoint has them."""
        return cls(**{**numbers, "skipped": set(numbers.get("skipped", ()))})


class Step(NamedTuple):
    """What there is to say of a step."""

    number: int
    learning_rate: float
    batch: Sequence[AnyExample] = ()

    @property
    def rows(self) -> list[str]:
        return [row.where for row in self.batch]


@dataclass
class Numbers:
    """Watches over the numbers of a run: a step whose numbers are not finite ends it, or is left out of it."""

    model: Any
    asked: OnNonfiniteConfig
    emit: Emit
    max_grad_norm: float
    fp16: bool
    setbacks: Setbacks = field(default_factory=Setbacks)
    last_update: Step | None = None
    """The last step that changed weights."""

    def leave_out(self, step: Step, what: str, value: float, guilty: Callable[[], list[str]]) -> None:
        """Notes that the step changes nothing. Raises `Diverged` unless it is to be skipped, and may be: broken weights
        are not mended by that. `guilty` finds the rows that give it alone; it is not asked where weights are to blame.
        """
        weight, last = nonfinite_weight(self.model.named_parameters()), self.last_update
        found = NonFinite(
            step=step.number,
            what=what,
            value=value,
            learning_rate=step.learning_rate,
            rows=step.rows,
            guilty=guilty() if weight is None else [],
            action=self.asked.action,
            weight=None if weight is None else weight[0],
            since=None if weight is None or last is None else last.number,
        )
        self.emit(found)
        if weight is not None or self.asked.action != "skip":
            raise self._diverged(found)
        if self.setbacks.skipped_before(step.number) >= self.asked.limit:
            raise self._diverged(found, f"the {self.asked.limit} steps before it were skipped for the like")
        self.setbacks.skipped.add(step.number)

    def check_weights(self, step: int) -> None:
        """Raises `Diverged` where the last update left a trained weight nan or inf: to be asked before anything is
        saved or measured of it. `step`: those that are done."""
        weight = nonfinite_weight((name, one) for name, one in self.model.named_parameters() if one.requires_grad)
        if weight is None:
            return
        name, value = weight
        last = self.last_update or Step(step, 0.0)
        found = NonFinite(
            step=step,
            what="weights",
            value=value,
            learning_rate=last.learning_rate,
            rows=last.rows,
            guilty=[],
            action=self.asked.action,
            weight=name,
            since=last.number,
        )
        self.emit(found)
        raise self._diverged(found)

    def _diverged(self, found: NonFinite, more: str = "") -> Diverged:
        """With what there is left to do, as the run is set."""
        ways = ["lower training_args.learning_rate"]
        if self.max_grad_norm > USUAL_NORM or self.max_grad_norm == 0:
            ways.append(f"set max_grad_norm ({USUAL_NORM})")
        if self.fp16:
            ways.append("prefer bf16 to fp16")
        ways.append("look at those rows")
        if self.asked.action == "stop":
            ways[-1] += "; or let the run do without such a batch: training_args.on_nonfinite: skip, or rollback"
        elif self.asked.action == "skip":
            ways[-1] += "; or let it go back to weights that were good: training_args.on_nonfinite: rollback"
        return Diverged(found, ", ".join(ways), more)


def what_is_not_finite(loss: float, norm: float, scaler: Any = None) -> tuple[str, float] | None:
    """(what, value) of a step's two numbers. Not a gradient that overflowed under fp16's scaler, which skips such a
    step and lowers its scale: nothing is wrong, as long as there is something to lower."""
    if not math.isfinite(loss):
        return "loss", loss
    if math.isfinite(norm) or (scaler is not None and scaler.get_scale() >= SMALLEST_SCALE):
        return None
    return "grad_norm", norm


@torch.no_grad()
def nonfinite_weight(weights: Iterable[tuple[str, torch.Tensor]]) -> tuple[str, float] | None:
    """(name, value) of the first of the named weights that holds nan or inf; None where all are finite.

    Reads each weight once, at the speed of memory (1 GiB in 40 ms on a CPU; `isfinite` takes 30 times as long), and
    waits for the device once. What is packed in integers or 8-bit floats has no such values, or says so elsewhere.
    """
    named = [(name, weight) for name, weight in weights if weight.is_floating_point() and weight.itemsize > 1]
    named = [(name, weight) for name, weight in named if weight.numel()]
    if not named:
        return None
    ends = torch.stack([end.float() for _, weight in named for end in torch.aminmax(weight.detach())]).tolist()
    wrong = (number for number, value in enumerate(ends) if not math.isfinite(value))
    first = next(wrong, None)
    return None if first is None else (named[first // 2][0], ends[first])


def guilty_rows(pieces: Iterable[Sequence[AnyExample]], finite: Callable[[Sequence[AnyExample]], bool]) -> list[str]:
    """Where the rows stand for which alone `finite` is false; only pieces for which it is false are looked into."""
    return [
        row.where
        for piece in pieces
        if not finite(piece)
        for row in (piece if len(piece) == 1 else [one for one in piece if not finite([one])])
    ]
