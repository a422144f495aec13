"""Whether the learning rate is what the strategy asked for, computed here anew from its settings."""

from __future__ import annotations

import math
from typing import Any

from furrow.components.events import Event, Resumed, RolledBack, StepEnded, TrainingStarted, Warned

TOLERANCE = 1e-3
"""Share of the peak by which a rate may differ. Rounding is far below, a wrong curve soon far above."""

_EXACT = ("constant", "constant_with_warmup", "linear", "cosine")
"""Curves that are computed; of the others only the warm-up and the range are known here."""
_FALLING = ("linear", "cosine", "cosine_with_restarts", "cosine_with_min_lr", "polynomial")


class Schedule:
    """The rate of every step against warm-up, curve and peak. `arguments`: a fine-tuner's training arguments; one that
    has none of these names is not judged. The step before and the one after count too: who counts from 1 is as right
    as who counts from 0."""

    def __init__(self, arguments: Any) -> None:
        self._peak = float(getattr(arguments, "learning_rate", 0.0))
        self._kind = str(getattr(arguments, "lr_scheduler_type", ""))
        self._ratio, self._steps = getattr(arguments, "warmup_ratio", 0.0), getattr(arguments, "warmup_steps", 0)
        self._plain = getattr(arguments, "num_cycles", None) is None and getattr(arguments, "min_lr", None) is None
        self._total, self._scale = 0, 1.0

    def __call__(self, event: Event) -> Warned | None:
        if not self._peak or not self._kind:
            return None
        if isinstance(event, TrainingStarted):
            self._total = event.total_steps
            return self._too_long_a_warm_up()
        if isinstance(event, Resumed | RolledBack):
            self._scale = event.learning_rate_scale
        if isinstance(event, StepEnded) and self._total:
            return self._judge(event.step, event.learning_rate / self._scale)
        return None

    @property
    def _warm_up(self) -> int:
        if self._kind == "constant":
            return 0
        return int(self._steps or math.ceil(self._ratio * self._total))

    def _too_long_a_warm_up(self) -> Warned | None:
        if self._warm_up < max(self._total, 2):
            return None
        return Warned(
            message=f"the warm-up takes {self._warm_up} steps, the whole run has {self._total}: the learning rate "
            f"never comes to {self._peak:g}",
            remedy="lower warmup_steps or warmup_ratio, or train longer",
        )

    def _judge(self, step: int, rate: float) -> Warned | None:
        near = range(max(step - 2, 0), step + 1)
        if self._kind in _EXACT and self._plain:
            wanted = self._wanted(step - 1)
            fine = any(abs(rate - self._wanted(index)) <= TOLERANCE * self._peak for index in near)
            asked = f"{wanted:.3g}"
        else:
            fine, asked = 0 <= rate <= self._peak * (1 + TOLERANCE), f"between 0 and {self._peak:.3g}"
            stuck = self._kind in _FALLING and step == self._total > self._warm_up + 1 and step > 2
            if stuck and self._kind != "cosine_with_restarts" and rate >= self._peak * (1 - TOLERANCE):
                fine, asked = False, f"below {self._peak:.3g}"
        if fine:
            return None
        return Warned(
            message=f"step {step} of {self._total}: the learning rate is {rate:.3g}, and {self._kind} with a peak of "
            f"{self._peak:g} and {self._warm_up} steps of warm-up asks for {asked}: the schedule is not applied, or "
            "was made for another number of steps",
            remedy="compare training_args with those of the run; a run that is resumed keeps its schedule",
        )

    def _wanted(self, index: int) -> float:
        """The rate after `index` steps, as transformers defines these curves."""
        warm_up, total = self._warm_up, self._total
        if index < warm_up:
            return self._peak * index / warm_up
        if self._kind in ("constant", "constant_with_warmup"):
            return self._peak
        done = min(1.0, (index - warm_up) / max(1, total - warm_up))
        return self._peak * (1 - done if self._kind == "linear" else (1 + math.cos(math.pi * done)) / 2)
