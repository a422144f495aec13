"""Children: forked from a process that has imported everything, so that a trial costs its work and no imports.

A child tells over a pipe where it is (its marks), and can be made to wait at one. It dies by real signals only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 120.0
"""Seconds after which a child hangs: a trial of a second gets two minutes, on however busy a machine."""


class Hung(Exception):
    """A child did not get on within PATIENCE."""


class Marks:
    """The child's end of the pipes."""

    def __init__(self, tell: int, wait: int) -> None:
        self._tell, self._wait = tell, wait

    def reach(self, name: str, *, halt: bool = False) -> None:
        """Says that it got here; with `halt` waits until it is told to go on."""
        os.write(self._tell, f"{name}\t{time.monotonic()}\n".encode())
        if halt:
            os.read(self._wait, 1)


@dataclass
class Child:
    """A forked process, seen from its parent."""

    pid: int
    said_in: Path
    _marks: int
    _go: int
    _pending: str = ""
    code: int | None = None
    """Exit code, or minus the number of the signal that ended it; None while it lives."""
    marks: dict[str, float] = field(default_factory=dict)
    """When (monotonic seconds) it reached each."""

    def until(self, *names: str) -> str | None:
        """Waits until it reaches one of these marks and says which; None when it ended before that."""
        deadline = time.monotonic() + PATIENCE
        while not (reached := [name for name in names if name in self.marks]):
            if not self._read(deadline):
                return None
        return reached[0]

    def go(self) -> None:
        """Lets it leave the mark at which it waits. A child that is dead by now is nobody's concern."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._go, b".")

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)

    def wait(self) -> int:
        """How it ended. Reads its marks to the end; then nothing of it is left, its own children neither."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                self.clear()
                raise Hung(f"process {self.pid} did not end")
            else:
                time.sleep(0.001)
        self.clear()
        return self.code

    def clear(self) -> None:
        """Ends it and its own children, whatever they do; closes the pipes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        for end in (self._marks, self._go):
            with contextlib.suppress(OSError):
                os.close(end)
        self._marks = self._go = -1

    @property
    def said(self) -> str:
        if not self.said_in.is_file():  # it has not even begun
            return ""
        return self.said_in.read_text(encoding="utf-8", errors="replace")

    def _read(self, deadline: float) -> bool:
        """Takes in what it told; False at the end of it."""
        if self._marks < 0:
            return False
        if not select.select([self._marks], [], [], max(0.0, deadline - time.monotonic()))[0]:
            self.clear()
            raise Hung(f"process {self.pid} got stuck; it said: {self.said[-300:]}")
        piece = os.read(self._marks, 1 << 16)
        *lines, self._pending = (self._pending + piece.decode()).split("\n")
        for line in lines:
            name, _, when = line.partition("\t")
            self.marks.setdefault(name, float(when))
        return bool(piece)


def fork(action: Callable[[Marks], int | None], said_in: Path) -> Child:
    """Runs the action in a child of its own session, its output in `said_in`. What it returns is the exit code."""
    marks_read, marks_write = os.pipe()
    go_read, go_write = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(marks_read)
        os.close(go_write)
        _be_child(lambda: action(Marks(marks_write, go_read)), said_in)
    os.close(marks_write)
    os.close(go_read)
    return Child(pid, said_in, marks_read, go_write)


def _be_child(action: Callable[[], int | None], said_in: Path) -> None:
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        said = os.open(said_in, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False, buffering=1)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False, buffering=1)
        code = action() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


@contextlib.contextmanager
def living(child: Child) -> Iterator[Child]:
    """Sees to it that nothing of the child is left when the block ends."""
    try:
        yield child
    finally:
        child.clear()
