"""Who watches a run: the strategy's trackers, and the rules that warn of what looks wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from furrow.components.events import Event, EventStream, Warned
from furrow.components.interruption import Hung
from furrow.components.tracker import TrackedRun, Tracker
from furrow.stages import wire
from furrow.stages.reporting.diagnostics import Diagnostics
from furrow.stages.run.folder import RunFolder
from furrow.strategies.schema import Strategy


@contextmanager
def watched(
    strategy: Strategy, run: RunFolder, events: EventStream, before: Sequence[Event], earlier: Iterable[Event] = ()
) -> Iterator[None]:
    """Subscribes them for the length of the block, and tells them what happened before it.

    `earlier` is what happened before the run was cut off, which the trackers know and the rules are to remember. The
    diagnostics come last, so that a warning stands after what it is about.
    """
    monitoring, about = strategy.monitoring, tracked_run(strategy, run)
    with ExitStack() as stack:
        for wired in wire.trackers(monitoring):
            tracker = Guarded(wired.type, lambda wired=wired: wire.tracker(wired, about), events)  # type: ignore[misc]
            stack.push(tracker.ended)
            for event in before:
                tracker(event)
            events.subscribe(tracker)
        if monitoring.diagnostics:
            diagnostics = Diagnostics(strategy, events)
            diagnostics.remember(earlier)
            for event in before:
                diagnostics(event)
            events.subscribe(diagnostics)
        yield


def tracked_run(strategy: Strategy, run: RunFolder) -> TrackedRun:
    """What trackers are told of the run."""
    return TrackedRun(
        folder=run.path,
        project=strategy.monitoring.project,
        name=strategy.monitoring.run_name or run.path.absolute().name,
        settings=dict(_flat(strategy.model_dump(mode="json"))),
    )


class Guarded:
    """A tracker that cannot hurt the run: when it fails, that is said once, and it hears of nothing more."""

    def __init__(self, name: str, make: Callable[[], Tracker], emit: Callable[[Event], None]) -> None:
        self._name, self._emit = name, emit
        self._tracker: Tracker | None = None
        with self._forgiving("cannot start"):
            self._tracker = make()

    def __call__(self, event: Event) -> None:
        if self._tracker is not None:
            with self._forgiving("failed"):
                self._tracker(event)

    def ended(self, error: type[BaseException] | None, *_: object) -> None:
        """Closes it, as an exit callback: `error` is what ended the run, if anything did."""
        self.close(failed=error is not None)

    def close(self, *, failed: bool = False) -> None:
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            with self._forgiving("could not be closed"):
                tracker.close(failed=failed)

    @contextmanager
    def _forgiving(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Exception, Hung) as error:  # a service may fail in any way; the run must not
            self._tracker = None
            reason = " ".join(str(error).split()) or type(error).__name__
            self._emit(
                Warned(
                    message=f"the tracker {self._name} {what}, and gets no more figures: {reason}",
                    remedy="the run goes on; `setup` checks what it needs",
                )
            )


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`training_args.seed` -> 42, in the short form; lists as text, and nothing that has no value."""
    for name, value in settings.items():
        path = f"{prefix}{name}".removeprefix("components.fine_tuner.config.")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}.")
        elif value is not None:
            yield path, value if isinstance(value, bool | int | float | str) else ", ".join(map(str, value))
