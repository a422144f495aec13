"""When to stop because the evaluation no longer improves. A light module: settings and a counter, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from furrow.components.config import Config


class EarlyStoppingConfig(Config):
    """Training stops when `patience` evaluations in a row bring nothing; what counts is metric_for_best_model."""

    patience: Annotated[int, Field(ge=1)] = 3
    """Evaluations in a row that may bring nothing. Guide: 3."""
    threshold: Annotated[float, Field(ge=0)] = 0.0
    """By how much the metric must be better than the best so far to count. Guide: 0.01."""


def on_or_off(given: Any) -> Any:
    """`early_stopping: true` means its defaults, false means none."""
    return {True: {}, False: None}[given] if isinstance(given, bool) else given


@dataclass
class EarlyStopping:
    """Counts as transformers' EarlyStoppingCallback does: against the best value so far, however little it improved."""

    config: EarlyStoppingConfig
    greater_is_better: bool = False
    best: float | None = None
    without_gain: int = 0
    """Evaluations in a row that brought nothing."""

    def stops(self, value: float) -> bool:
        """Takes in an evaluation; True when it was the last one of a row that is too long. What is not finite brings
        nothing."""
        gain = math.inf if self.best is None else (value - self.best) * (1 if self.greater_is_better else -1)
        if math.isfinite(value):
            self.without_gain = 0 if gain > self.config.threshold else self.without_gain + 1
            self.best = value if gain > 0 else self.best
        else:
            self.without_gain += 1
        return self.over

    @property
    def over(self) -> bool:
        """Whether that row is too long."""
        return self.without_gain >= self.config.patience
