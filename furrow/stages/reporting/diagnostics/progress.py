"""Whether the loss gets anywhere, and whether it gets there smoothly."""

from __future__ import annotations

import math
import statistics
from collections import deque

from furrow.components.events import Event, StepEnded, Warned

FLAT_STEPS = 100
"""Steps after which the loss must have fallen. Their halves are compared: means of 50 steps, which in small batches
still stray by 2 to 3 %."""
FALL = 0.02
"""Share by which the second half must lie below the first. The guide: 'stays flat or decreases very slowly'."""
SETTLED = 0.05
"""Nats: a loss that begins below has nowhere to fall to."""
BEFORE = 20
"""Steps that say what is usual, before one of them can be called a spike."""
LOSS_SPIKE = 2.0
"""A loss that is this many times the median of the steps before …"""
LOSS_JUMP = 1.0
"""… and this many nats above it, and above every one of them: rows differ, and small batches with them."""
NORM_SPIKE = 10.0
"""A gradient norm that is this many times the median of the steps before …"""
NORM_FLOOR = 5.0
"""… and above this, five times the usual max_grad_norm. Near a loss of 0 norms are tiny, and one row that is not yet
known makes a jump from 0.2 to 3, which is clipped and harms nobody (seen in five runs of a classifier)."""

_UNSTABLE = "lower learning_rate, add warmup_ratio, or lower max_grad_norm; look for broken rows with `train --dry-run`"


class Flat:
    """The loss has not fallen since the warm-up. Judged once: what is flat later has converged."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._peak = 0.0

    def __call__(self, event: Event) -> Warned | None:
        if not isinstance(event, StepEnded) or len(self._losses) >= FLAT_STEPS:
            return None
        if event.learning_rate > self._peak:  # still warming up
            self._peak, self._losses = event.learning_rate, []
        self._losses.append(event.loss)
        if len(self._losses) < FLAT_STEPS:
            return None
        middle = FLAT_STEPS // 2
        first, last = statistics.fmean(self._losses[:middle]), statistics.fmean(self._losses[middle:])
        if first < SETTLED or last < first * (1 - FALL):
            return None
        return Warned(
            message=f"step {event.step}: the loss does not fall: {first:.3f} on average over {middle} steps, then "
            f"{last:.3f}: the learning rate is too low or far too high, too little is trained, or the rows are not as "
            "the template wants them",
            remedy="see with `train --dry-run` what is learned; change learning_rate, raise the rank, or train all "
            "linear layers (target_modules: all-linear)",
        )


class LossSpike:
    """One step's loss far above those before it."""

    def __init__(self) -> None:
        self._before: deque[float] = deque(maxlen=BEFORE)

    def __call__(self, event: Event) -> Warned | None:
        if not isinstance(event, StepEnded):
            return None
        before = list(self._before)
        self._before.append(event.loss)
        if len(before) < BEFORE:
            return None
        usual = statistics.median(before)
        if event.loss < LOSS_SPIKE * usual or event.loss < max(before) + LOSS_JUMP:
            return None
        return Warned(
            message=f"step {event.step}: the loss jumps to {event.loss:.3f}, from {usual:.3f} in the {BEFORE} steps "
            "before: the learning rate is too high, or the rows of this step are broken",
            remedy=_UNSTABLE,
        )


class GradientSpike:
    """One step's gradient norm far above those before it. Norms that overflow (fp16) are left out."""

    def __init__(self) -> None:
        self._before: deque[float] = deque(maxlen=BEFORE)

    def __call__(self, event: Event) -> Warned | None:
        if not isinstance(event, StepEnded) or not math.isfinite(event.grad_norm):
            return None
        before = list(self._before)
        self._before.append(event.grad_norm)
        if len(before) < BEFORE:
            return None
        usual = statistics.median(before)
        if event.grad_norm < max(NORM_SPIKE * usual, NORM_FLOOR):
            return None
        return Warned(
            message=f"step {event.step}: the gradient norm jumps to {event.grad_norm:.3g}, from {usual:.3g} in the "
            f"{BEFORE} steps before: the learning rate is too high, or the rows of this step are broken",
            remedy=_UNSTABLE,
        )
