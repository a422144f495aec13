"""How far a long piece of work is: said about once a second, and not at all where it takes less than that."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from furrow.components.events import Emit, Progressed

SECONDS = 1.0
"""Between two events; a bar that moves more often costs more than it tells."""

Thing = TypeVar("Thing")


def counted(things: Iterable[Thing], emit: Emit, stage: str, total: int | None = None) -> Iterator[Thing]:
    """The things as they come. `stage` names the work for a person ('tokenising rows'); `total`: how many there are, as
    far as that is known. A last event, with done equal to total, ends what was begun."""
    done, told = 0, False
    due = time.monotonic() + SECONDS
    for thing in things:
        yield thing
        done += 1
        if (now := time.monotonic()) >= due:
            emit(Progressed(stage=stage, done=done, total=total))
            due, told = now + SECONDS, True
    if told:
        emit(Progressed(stage=stage, done=done, total=done))
