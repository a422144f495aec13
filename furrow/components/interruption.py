"""Asking a run to end: a signal is noted, and whoever computes looks at the note where nothing is half done."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from furrow.components.errors import FurrowError


class StopRequest:
    """What a run and those who watch it know of each other: whether it was asked to end, and when it last moved.

    Set by a signal handler or a thread, read by who computes; true once the run is to end.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self.heeded = False
        """Whether somebody looks at it. Where nobody does, a signal ends the work at once."""
        self.moved_at = time.monotonic()
        """When the run last showed that it moves, by time.monotonic()."""
        self.unwound: int | None = None
        """The signal that unwound the stack, if one has: what fails from then on fails because of it."""

    def ask(self, number: int) -> None:
        """Notes the signal; the first one counts."""
        if self.signal is None:
            self.signal = number

    def moved(self, *_: object) -> None:
        """Says that the run moves; to be called wherever a piece of the work is done. Subscribes to events, too."""
        self.moved_at = time.monotonic()

    @contextlib.contextmanager
    def heeding(self) -> Iterator[None]:
        """For as long as the block looks at it, between pieces of work that are better not cut in two."""
        self.heeded = True
        try:
            yield
        finally:
            self.heeded = False

    def __bool__(self) -> bool:
        return self.signal is not None


class Unwound(KeyboardInterrupt):
    """A signal that nobody waits for: it unwinds the stack, so that nothing half-written stays behind."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


class GivenUp(Exception):
    """An evaluation was left where it was, because the run is to end; the resumed run makes it."""


class Hung(BaseException):
    """The watchdog interrupts what hangs: no handler of ordinary errors may take it for one, and try again.

    `saved` is the checkpoint that was made of what was learned, where that was possible.
    """

    saved: Path | None = None


class Stuck(FurrowError):
    """Nothing moved for too long, and the run was ended. `resumable` as below."""

    def __init__(self, what: str, *, remedy: str, resumable: bool) -> None:
        super().__init__(what, remedy=remedy)
        self.resumable = resumable


class Interrupted(FurrowError):
    """A signal ended the run; what it had learned is saved, unless the error says otherwise. Exit code 128 + signal.

    `resumable`: whether the same command with --resume goes on with it; `as_asked`: with the very --resume and
    --allow-change that were given, which nobody has followed yet. `says_kept`: whether `what` says what is kept; else
    whoever knows the folder adds it.
    """

    def __init__(
        self,
        number: int,
        what: str,
        *,
        remedy: str | None = None,
        resumable: bool = False,
        as_asked: bool = False,
        says_kept: bool = True,
    ) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}: {what}", remedy=remedy)
        self.signal, self.resumable, self.as_asked, self.says_kept = number, resumable, as_asked, says_kept
        self.exit_code = 128 + number
