"""Notices a run that hangs (a download, a data reader, a file system that is gone): writes stacks and ends it.

A run shows that it moves: by its events, by every micro-batch, by the bytes that it reads and writes, and outside the
training loop by the time that its processors work. Where none of that has been seen for `seconds`, a thread of its own
writes the stacks of all threads into a file and interrupts the main thread, which saves the last whole step. A main
thread that does not answer (stuck in C code) is not waited for: the process ends. Code that keeps Python's own lock for
itself is beyond it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import NoReturn

from furrow.components.disk.checkpoint_folder import checkpoints_in
from furrow.components.interruption import Hung, StopRequest, Stuck
from furrow.stages.run.clock import now
from furrow.stages.run.folder import RunFolder

PULSE = 30.0
"""Most seconds between two looks."""
GRACE = 300.0
"""Most seconds that the main thread has to answer in: bytes that it writes count as a sign of life."""
WRITING = 10.0
"""Seconds for the stacks: the disk may be what hangs."""
ALIVE_BYTES = 1 << 20
"""Bytes between two looks that are work; a progress bar and a log write less."""
ALIVE_SHARE = 0.2
"""Share of a processor between two looks that is work; a progress bar takes 2 %."""
_CALL = signal.SIGUSR2


@contextlib.contextmanager
def watched_over(run: RunFolder, stop: StopRequest, seconds: float) -> Iterator[None]:
    """For the length of the block a hang of so many seconds raises Stuck; 0 is never. Works in the main thread only."""
    if not seconds or threading.current_thread() is not threading.main_thread():
        yield
        return
    watchdog = _Watchdog(run, stop, seconds)
    before = signal.signal(_CALL, watchdog.raise_hung)
    thread = threading.Thread(target=watchdog.watch, name="watchdog", daemon=True)
    thread.start()
    try:
        yield
    except Hung as hung:
        raise watchdog.error(hung.saved) from hung
    finally:
        watchdog.over.set()
        thread.join()
        signal.signal(_CALL, before if before is not None else signal.SIG_DFL)


class _Watchdog:
    def __init__(self, run: RunFolder, stop: StopRequest, seconds: float) -> None:
        self._run, self._stop, self._seconds = run, stop, seconds
        self._main = threading.main_thread().ident
        self._called = False
        self.over = threading.Event()

    def watch(self) -> None:
        """Until the block is over. What was interrupted may go on (a tracker is given up), and is watched as before.

        Of the time between two looks only two pulses count: the whole process may have been stopped for longer (Ctrl-Z,
        a suspended machine).
        """
        pulse = min(PULSE, self._seconds / 4)
        patience, quiet = self._seconds, 0.0
        looked, moved, work = time.monotonic(), self._stop.moved_at, _work()
        while not self.over.wait(pulse):
            last_look, last_moved, last_work = looked, moved, work
            looked, moved, work = time.monotonic(), self._stop.moved_at, _work()
            if moved != last_moved:
                patience, quiet = self._seconds, 0.0
            elif self._works(last_work, work, looked - last_look):
                quiet = 0.0
            else:
                quiet += min(looked - last_look, 2 * pulse)
            if quiet >= patience:
                if patience != self._seconds:
                    self._end()
                self._interrupt()
                patience, quiet = min(GRACE, 0.9 * self._seconds), 0.0

    def raise_hung(self, number: int, frame: FrameType | None) -> None:
        """In the main thread. Where somebody else sent the signal (clusters do, before they take the machine away), he
        wants the run to end."""
        if not self._called:
            signal.raise_signal(signal.SIGTERM)
            return
        self._called = False
        raise Hung

    def error(self, saved: Path | None) -> Stuck:
        return Stuck(
            f"nothing has moved for {self._seconds:g} s; the stacks of all threads are in {self._run.stacks}",
            remedy=_kept(self._run, saved),
            resumable=self._run.resumable,
        )

    def _works(self, before: tuple[float, int], after: tuple[float, int], seconds: float) -> bool:
        """In the training loop every micro-batch is noted, and a processor that waits for a device is busy, too."""
        busy = not self._stop.heeded and after[0] - before[0] >= ALIVE_SHARE * seconds
        return busy or after[1] - before[1] >= ALIVE_BYTES

    def _interrupt(self) -> None:
        writer = threading.Thread(target=self._write_stacks, daemon=True)
        writer.start()
        writer.join(WRITING)
        assert self._main is not None
        self._called = True
        signal.pthread_kill(self._main, _CALL)

    def _write_stacks(self) -> None:
        with contextlib.suppress(OSError), self._run.stacks.open("w", encoding="utf-8") as file:
            file.write(f"{now()}: nothing has moved for {self._seconds:g} s\n\n")
            file.flush()
            faulthandler.dump_traceback(file, all_threads=True)

    def _end(self) -> NoReturn:
        error = self.error(None)
        os.write(2, f"\nerror: {error.what}\n  the main thread does not answer; {error.remedy}\n".encode())
        os._exit(1)


def _work() -> tuple[float, int]:
    """(seconds of all processors, bytes read and written) of this process so far. Of bytes, not all systems tell."""
    moved = 0
    with contextlib.suppress(OSError, ValueError):
        counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        moved = sum(int(counts[name]) for name in ("rchar", "wchar", "read_bytes"))
    return time.process_time(), moved


def _kept(run: RunFolder, saved: Path | None) -> str:
    if saved is not None:
        return f"what was learned is saved as {saved}"
    steps = checkpoints_in(run.checkpoints)
    return f"the newest checkpoint is {steps[max(steps)]}" if steps else "nothing was saved before"
