"""Saving where the disk does not take it: wait, try again, and give up only after a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from furrow.components.disk.storage import StorageError
from furrow.components.events import Emit, SavePaused
from furrow.components.interruption import StopRequest

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds; each pause is twice the one before."""
_LOOKS = 0.1
"""Seconds between two looks at whether the run is to end."""

Saved = TypeVar("Saved")


def patiently(save: Callable[[], Saved], *, seconds: float, step: int, stop: StopRequest, emit: Emit) -> Saved:
    """What `save` returns, as soon as it succeeds. Whatever failed has left nothing behind, and may be begun again.

    Raises its StorageError when `seconds` have passed, or as soon as the run is to end.
    """
    until, pause = time.monotonic() + seconds, FIRST_PAUSE
    while True:
        try:
            return save()
        except StorageError as error:
            left = until - time.monotonic()
            if stop or left <= 0:
                raise
            pause = min(pause, left)
            emit(SavePaused(step=step, reason=str(error), next_try=pause, gives_up=left))
        _wait(pause, stop)
        pause = min(2 * pause, LONGEST_PAUSE)


def _wait(seconds: float, stop: StopRequest) -> None:
    until = time.monotonic() + seconds
    while not stop and (left := until - time.monotonic()) > 0:
        stop.moved()  # whoever looks for a run that hangs: it does not
        time.sleep(min(_LOOKS, left))
