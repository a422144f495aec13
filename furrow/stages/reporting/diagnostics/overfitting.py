"""Learning by heart: what the training rows and the evaluation rows say of each other.

The figures are those of the guide's "Overfitting Indicators": a gap above 0.5, an evaluation loss that rises while the
training loss falls, a training loss near 0 with a poor evaluation.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable

from furrow.components.events import Evaluated, Event, StepEnded, Warned

GAP = 0.5
"""Nats by which eval loss may lie above train loss (guide: `eval_loss - train_loss > 0.5`)."""
RECENT = 20
"""Steps that the training loss is the mean of: one batch says little, and a whole epoch says how it was long ago."""
EARLIEST = 5
"""Steps before which nothing is judged: the weights have hardly moved, and nothing is known by heart."""
RISE = 0.02
"""Share by which eval loss must lie above its best. Less is the noise of a small evaluation set."""
RISES = 2
"""Evaluations in a row that must lie above the best: one may be chance."""
NEAR_ZERO = 0.05
"""Nats: each learned token is then predicted with a probability of 95 %."""
POOR = 0.3
"""Nats: a learned token is then predicted with a probability of 74 %, far from what the training rows show."""

_REMEDY = (
    "fewer epochs, more or more varied rows, more dropout or weight decay, a lower rank; or keep the best weights "
)
_REMEDY += "with load_best_model_at_end"


class AtEvaluations:
    """A rule about the two losses side by side: `judge(step, train loss, eval loss)` is asked at every evaluation."""

    def __init__(self, judge: Callable[[int, float, float], Warned | None]) -> None:
        self._losses: deque[float] = deque(maxlen=RECENT)
        self._judge = judge

    def __call__(self, event: Event) -> Warned | None:
        if isinstance(event, StepEnded):
            self._losses.append(event.loss)
        elif isinstance(event, Evaluated) and len(self._losses) >= EARLIEST and math.isfinite(event.eval_loss):
            return self._judge(event.step, statistics.fmean(self._losses), event.eval_loss)
        return None


def gap(step: int, train: float, evaluation: float) -> Warned | None:
    """Evaluation loss far above training loss."""
    if evaluation - train <= GAP:
        return None
    return Warned(
        message=f"step {step}: eval loss {evaluation:.3f} lies {evaluation - train:.2f} above train loss "
        f"{train:.3f} (more than {GAP}): the model learns the training rows by heart, or the evaluation rows are "
        "of another kind",
        remedy=_REMEDY,
    )


def memorised(step: int, train: float, evaluation: float) -> Warned | None:
    """Training loss near zero, evaluation loss not."""
    if train >= NEAR_ZERO or evaluation < POOR:
        return None
    return Warned(
        message=f"step {step}: train loss is {train:.4f}, nearly 0, and eval loss {evaluation:.3f} is not: the "
        "training rows are known by heart, and more of them teach nothing",
        remedy=_REMEDY,
    )


class Rising:
    """Evaluation loss rises while training loss falls."""

    def __init__(self) -> None:
        self._best: tuple[float, float, int] | None = None  # eval loss, train loss, step
        self._above = 0

    def __call__(self, step: int, train: float, evaluation: float) -> Warned | None:
        if self._best is None or evaluation < self._best[0]:
            self._best, self._above = (evaluation, train, step), 0
            return None
        best, train_then, step_then = self._best
        self._above = self._above + 1 if evaluation > best + RISE * abs(best) else 0
        if self._above < RISES or train >= train_then:
            return None
        return Warned(
            message=f"step {step}: eval loss rose from {best:.3f} (step {step_then}) to {evaluation:.3f}, while train "
            f"loss fell from {train_then:.3f} to {train:.3f}: the model learns the training rows by heart",
            remedy=_REMEDY,
        )
