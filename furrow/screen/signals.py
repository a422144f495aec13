"""What Ctrl-C, SIGTERM and a closed terminal mean to a run: once, end where nothing is lost; again, end now."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

from furrow.components.interruption import StopRequest, Unwound

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SHOW_CURSOR = b"\x1b[?25h"
"""A progress bar hides it."""
ECHO_SECONDS = 0.1
"""The same signal within this time is the same wish: what started us (`timeout`, a shell) often hands on what the
terminal or the group of processes had been sent already. Nobody presses Ctrl-C twice as quickly."""


@contextlib.contextmanager
def stoppable(stop: StopRequest) -> Iterator[None]:
    """For the length of the block signals go to `stop`. To be used in the main thread.

    The first one is noted where the run heeds it, and unwinds the stack elsewhere; the second one unwinds it anywhere;
    the third one ends the process, should what is being closed hang. A signal that is ignored (nohup) stays so.
    After a run that was asked to end all are ignored: the process is about to end, with the exit code of the first.
    """
    handler = _Handler(stop)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    taken = {number: earlier for number, earlier in before.items() if earlier is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in taken.items():
            signal.signal(number, signal.SIG_IGN if stop else signal.SIG_DFL if earlier is None else earlier)


class _Handler:
    """Counts the signals of one run."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop, self._count = stop, 0
        self._last: dict[int, float] = {}
        self._terminals = [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now, last = time.monotonic(), self._last.get(number)
        self._last[number] = now
        if number == signal.SIGHUP:
            self._leave_the_terminal()
        if last is not None and (number == signal.SIGHUP or now - last < ECHO_SECONDS):
            return
        waits = self._stop.heeded and not self._stop
        self._stop.ask(number)
        self._count += 1
        if self._count > 2:
            if 2 in self._terminals:
                os.write(2, _SHOW_CURSOR)
            os._exit(128 + number)
        if waits or self._count == 1:
            how = "stopping after this step; once more leaves at once" if waits else "stopping …"
            with contextlib.suppress(OSError):  # not through the screen, in whose middle the signal may have come
                os.write(2, f"\n{signal.Signals(number).name}: {how}\n".encode())
        if not waits:
            self._stop.unwound = number
            raise Unwound(number)

    def _leave_the_terminal(self) -> None:
        """It is closed: whoever writes to it now would fail, and could not save."""
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in self._terminals:
            os.dup2(nothing, descriptor)
        os.close(nothing)
