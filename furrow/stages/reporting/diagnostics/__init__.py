"""Rules that read a run's events and warn of what looks wrong: what was seen, in figures, its likely cause, a remedy.

A rule is called with every event and returns a warning, or None; after its warning it is not asked again. The rules
know nothing about models: what they judge is what `metrics.jsonl` holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from furrow.components.events import Emit, Event, Warned
from furrow.stages.reporting.diagnostics.answers import Repetitive
from furrow.stages.reporting.diagnostics.batches import Idle, Masked
from furrow.stages.reporting.diagnostics.overfitting import AtEvaluations, Rising, gap, memorised
from furrow.stages.reporting.diagnostics.progress import Flat, GradientSpike, LossSpike
from furrow.stages.reporting.diagnostics.schedule import Schedule
from furrow.strategies.schema import Strategy

Rule = Callable[[Event], Warned | None]


def rules(strategy: Strategy) -> list[Rule]:
    """Every rule, fresh for one run. The loss of a policy optimisation (`algorithm`) is no likelihood, and says nothing
    of what is known by heart."""
    config = strategy.fine_tuner.config
    by_heart = [AtEvaluations(gap), AtEvaluations(Rising()), AtEvaluations(memorised)]
    return [
        Masked(),
        Schedule(getattr(config, "training_args", None)),
        LossSpike(),
        GradientSpike(),
        Flat(),
        *([] if hasattr(config, "algorithm") else by_heart),
        Repetitive(),
        Idle(),
    ]


class Diagnostics:
    """A subscriber; its warnings go into the stream that it listens to."""

    def __init__(self, strategy: Strategy, emit: Emit) -> None:
        self._rules, self._emit = rules(strategy), emit

    def __call__(self, event: Event) -> None:
        for warning in self._judge(event):
            self._emit(warning)

    def remember(self, events: Iterable[Event]) -> None:
        """Those of the part of a run that is over: what was warned of then is known."""
        for event in events:
            self._judge(event)

    def _judge(self, event: Event) -> list[Warned]:
        warnings = []
        for rule in list(self._rules):
            if warning := rule(event):
                self._rules.remove(rule)
                warnings.append(warning)
        return warnings
