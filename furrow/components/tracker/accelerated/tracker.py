"""A tracker over one of accelerate's tracker classes."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from accelerate import PartialState

from furrow.components.events import Event, TrainingStarted
from furrow.components.tracker.figures import figures


class Service(Protocol):
    """What is used of accelerate's `GeneralTracker`."""

    def start(self) -> None: ...
    def store_init_configuration(self, values: dict[str, Any]) -> None: ...
    def log(self, values: dict[str, Any], step: int | None = None) -> None: ...
    def finish(self) -> None: ...


class AccelerateTracker:
    """Implements `Tracker`. The service is asked for only when the training begins: a run that fails before leaves no
    trace there, and by then accelerate knows the device of the run.

    `fail` ends a run that failed, in a service that tells such runs from finished ones.
    """

    def __init__(self, service: Service, settings: Mapping[str, Any], fail: Callable[[], object] | None = None) -> None:
        self._service, self._settings = service, settings
        self._fail = fail or service.finish
        self._started = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, TrainingStarted):
            self._start()
        elif self._started and (found := figures(event)):
            step, values = found
            self._service.log(dict(values), step=step)

    def _start(self) -> None:
        PartialState()  # accelerate's trackers log through it; where there is one already, that one stays
        with _out_of_the_way():
            self._service.start()
            self._started = True
            self._service.store_init_configuration(dict(self._settings))

    def close(self, *, failed: bool = False) -> None:
        if self._started:
            self._started = False
            with _out_of_the_way():
                (self._fail if failed else self._service.finish)()


@contextlib.contextmanager
def _out_of_the_way() -> Iterator[None]:
    """No service asks a question in the middle of a run (a missing key is an error, not a prompt), nor prints between
    the lines of `--json`."""
    asked = sys.stdin
    with open(os.devnull) as nothing, contextlib.redirect_stdout(io.StringIO()):  # noqa: PTH123
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = asked
