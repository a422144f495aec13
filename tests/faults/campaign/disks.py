"""Disks that are too small: of many sizes from the beginning, and filled by somebody else after the first step; for
checkpoints. What cannot be written is said with its place and what is free, nothing half-written stays,
and what was there before is gone on with on a larger disk."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.campaign.children import Child, Marks
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.going_on import gone_on_with
from tests.faults.campaign.kills import LIMIT, left_alone
from tests.faults.campaign.runs import Ending, Job, litter, start
from tests.faults.campaign.small_disk import Disk, fill, on_small_disk, refusal
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import EXACT, LITTERED, WRONG, Tally, Trial, compared, last_line

REFUSED, FAILED, FITTED, WAITED = "refused before the start", "failed, nothing lost", "fitted", "waited for room"
UNCLEAR = "unclear message"
GOOD = (REFUSED, FAILED, FITTED, WAITED)
SMALL, FILLED, FREED, LIMITED, READ_ONLY = "small", "filled", "filled and freed", "file size limited", "read-only"
ROOMY = 8 << 20


@dataclass(frozen=True)
class Full:
    """One disk and the training on it."""

    job: Job
    whole: Ending
    kind: str
    size: int
    """Bytes of the disk, or that are left after the first step, or that a file may have."""


def run(crew: Crew) -> list[Tally]:
    tally = Tally("full disks", "furrow", GOOD)
    if (why := refusal(crew.shop)) is not None:
        tally.skipped = why
        return [tally]
    return [crew.tally(tally, _train, list(_tasks(crew)))]


def _tasks(crew: Crew) -> Iterator[Full]:
    for method in METHODS[1:] if crew.quick else METHODS:
        job = Job(crew.shop, method, (LIMIT, "training_args.save_retry_seconds=0"))
        whole, needed = left_alone(job), _needed(job)
        for kind, count in ((SMALL, crew.count(8, 1)), (FILLED, crew.count(14, 1)), (LIMITED, crew.count(3, 1))):
            top = needed // 4 if kind == LIMITED else needed
            for number in range(count):
                yield Full(job, whole, kind, top * (number + 1) // count if kind != LIMITED else top >> 2 * number)
        yield Full(job, whole, READ_ONLY, ROOMY)
        patient = Job(crew.shop, method, (LIMIT, "training_args.save_retry_seconds=60"))
        yield Full(patient, whole, FREED, needed // 8)


def _needed(job: Job) -> int:
    """What all of it takes on a disk, with a checkpoint in the making beside the one before it."""
    folder = job.shop.room("measured") / "run"
    job.run(folder)
    pages = sum(4096 + -(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*"))
    shutil.rmtree(folder.parent)
    return pages * 6 // 5


def _train(task: Full) -> Trial:
    room = task.job.shop.room("disk")
    small = task.kind in (SMALL, READ_ONLY)

    def work(disk: Disk) -> int:
        folder = disk.place / "run"
        said_in = room / "run.said"
        child = start(task.job.command(folder), said_in, None if small else lambda marks: _narrowing(marks, task, disk))
        if task.kind == FREED:
            _make_room_once_it_waits(child, disk)
        child.wait()
        return child.code

    size = task.size if task.kind == SMALL else ROOMY
    child = on_small_disk(room, size, work, read_only=task.kind == READ_ONLY)
    trial = _judged(task, room, child)
    shutil.rmtree(room)
    return Trial(trial.outcome, f"{trial.note} ({task.job.method}, {task.kind}, {task.size} bytes)")


def _narrowing(marks: Marks, task: Full, disk: Disk) -> None:
    """In the child: after the first step there is that much room."""
    from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop

    inner, calls = TrainingLoop._step, [0]

    def step(*arguments: Any, **named: Any) -> Any:
        found = inner(*arguments, **named)
        calls[0] += 1
        if calls[0] == 1 and task.kind == LIMITED:
            resource.setrlimit(resource.RLIMIT_FSIZE, (task.size, resource.RLIM_INFINITY))
        elif calls[0] == 1:
            fill(disk.place, task.size)
        return found

    TrainingLoop._step = step


def _make_room_once_it_waits(child: Child, disk: Disk) -> None:
    deadline = time.monotonic() + 30
    while "tries again" not in child.said and time.monotonic() < deadline:
        time.sleep(0.02)
    (disk.place / "ballast").unlink(missing_ok=True)


def _judged(task: Full, room: Path, disk_child: Child) -> Trial:
    said_in, kept = room / "run.said", room / "kept" / "run"
    said = said_in.read_text(errors="replace") if said_in.is_file() else disk_child.said
    if disk_child.code == 0:
        trial = compared(kept, task.whole, said, 0)
        return Trial(WAITED if task.kind == FREED else FITTED) if trial.outcome == EXACT else trial
    if task.kind == FREED:
        return Trial(WRONG, f"did not go on when there was room again: {last_line(said)}")
    error = " ".join(said.split())
    clear = disk_child.code in (1, 2) and str(room / "disk") in error and "Traceback" not in said
    if not clear or (task.kind in (SMALL, FILLED) and "free" not in error):
        return Trial(UNCLEAR, f"ended with {disk_child.code}: {last_line(said)}")
    if left := litter(kept):
        return Trial(LITTERED, ", ".join(left))
    saved = "saved " in said
    if not kept.exists() and not saved:
        trial = compared(kept, task.whole, *_again(task.job, kept))
    else:
        trial = gone_on_with(task.job, kept, task.whole, saved=saved)
    if trial.outcome != EXACT:
        return trial
    return Trial(FAILED if "training " in said else REFUSED)


def _again(job: Job, folder: Path) -> tuple[str, int]:
    child = job.run(folder)
    return child.said, child.code
