"""A screen that nobody reads any more (`furrow train | head`): the run is asked to end, as by a signal, and saves."""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from rich.console import Console

from furrow.components.events import Emit, Event
from furrow.components.interruption import StopRequest, Unwound
from furrow.screen.console import Screen


class StoppingWhenClosed:
    """Hands events on to `show`; when their pipe is closed, that counts as a first SIGPIPE (exit code 141).

    Where the run does not heed it, it is unwound. Another failure of the screen, such as a log on a full disk, costs
    lines and no run: metrics.jsonl has them.
    """

    def __init__(self, show: Emit, console: Console, stop: StopRequest) -> None:
        self._show, self._console, self._stop, self._closed = show, console, stop, False

    def __call__(self, event: Event) -> None:
        if self._closed:
            return
        try:
            self._show(event)
            self._closed = isinstance(self._console, Screen) and self._console.broken
        except BrokenPipeError:
            self._closed = True
        except OSError:
            return
        if self._closed:
            self._end()

    def _end(self) -> None:
        _write_into_nothing()
        if self._stop:
            return  # it ends already
        self._stop.ask(signal.SIGPIPE)
        if not self._stop.heeded:
            raise Unwound(signal.SIGPIPE)


def _write_into_nothing() -> None:
    """What is left in buffers would fail once more, at the end of the process."""
    with contextlib.suppress(OSError, ValueError, AttributeError):  # in a test it is no file; or there is none
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
