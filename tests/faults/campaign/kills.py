"""SIGKILL at a random moment: inside the save of a checkpoint, and anywhere in a run. It is resumed by itself."""

from __future__ import annotations

import functools
import random
import shutil
import signal
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.faults.campaign.children import Child
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.going_on import gone_on_with
from tests.faults.campaign.marking import mark_saves
from tests.faults.campaign.runs import Ending, Job, Prepare, ending
from tests.faults.campaign.tiny import METHODS, Shop
from tests.faults.campaign.verdict import EXACT, Tally, Trial

SAVES = 3
LIMIT = "training_args.save_total_limit=1"
"""So that the window of a save holds a rotation: the newest checkpoint is all there is."""
ATTEMPTS = 50
"""How often a kill may come too late before the window must be said not to be hit."""


class AnyJob(Protocol):
    """A training that can be begun in a child."""

    shop: Shop
    method: str

    def start(self, folder: Path, *more: str, prepare: Prepare | None = None) -> Child: ...
    def run(self, folder: Path, *more: str, prepare: Prepare | None = None) -> Child: ...


@dataclass(frozen=True)
class System:
    """Who is harmed: how its saves are marked, what a finished run of it came to, and how one goes on with it."""

    name: str
    mark_saves: Prepare
    ending: Callable[[Path], Ending]
    gone_on_with: Callable[..., Trial]


@dataclass(frozen=True)
class Kill:
    """When to kill which run."""

    system: System
    job: AnyJob
    whole: Ending
    number: int
    save: int | None
    """Inside this one; None for anywhere."""
    window: float
    """Seconds that it lasts when nobody kills."""


FURROW = System("furrow", mark_saves, ending, gone_on_with)


def run(crew: Crew) -> list[Tally]:
    jobs = [Job(crew.shop, method, (LIMIT,)) for method in METHODS]
    return [
        killed_in_saves(crew, FURROW, jobs, crew.count(200, 6), first=1),
        killed_anywhere(crew, FURROW, jobs, crew.count(40, 2)),
    ]


def killed_in_saves(crew: Crew, system: System, jobs: Sequence[AnyJob], count: int, *, first: int) -> Tally:
    """Kills at random moments of random saves, the `first` of them and later ones."""
    wholes, windows = [left_alone(job, system) for job in jobs], [_windows(job, system, crew) for job in jobs]
    kills = []
    for number in range(count):
        which, save = number % len(jobs), first + number // len(jobs) % (SAVES + 1 - first)
        window = windows[which][0][save - 1]
        kills.append(Kill(system, jobs[which], wholes[which], number, save, window))
    tally = Tally("kills in a save", system.name, (EXACT,))
    tally.facts["save_seconds"] = {job.method: max(window[0]) for job, window in zip(jobs, windows, strict=True)}
    return crew.tally(tally, _kill, kills)


def killed_anywhere(crew: Crew, system: System, jobs: Sequence[AnyJob], count: int) -> Tally:
    """Kills at random moments from the first call of the product to the end of the process."""
    wholes, windows = [left_alone(job, system) for job in jobs], [_windows(job, system, crew) for job in jobs]
    kills = [
        Kill(system, jobs[number % len(jobs)], wholes[number % len(jobs)], number, None, windows[number % len(jobs)][1])
        for number in range(count)
    ]
    return crew.tally(Tally("kills anywhere", system.name, (EXACT,)), _kill, kills)


@functools.cache
def left_alone(job: AnyJob, system: System = FURROW) -> Ending:
    """How the job ends when nothing happens to it."""
    folder = job.shop.room("whole") / "run"
    child = job.run(folder)
    if child.code != 0:
        raise RuntimeError(f"a run that nobody harmed ended with {child.code}: {child.said[-500:]}")
    found = system.ending(folder)
    shutil.rmtree(folder.parent)
    return found


def _windows(job: AnyJob, system: System, crew: Crew) -> tuple[list[float], float]:
    """Seconds of each save, and of the whole run: medians of five."""
    saves, lengths = [], []
    for _ in range(crew.count(5, 1)):
        folder = job.shop.room("timed") / "run"
        started = time.monotonic()
        child = job.run(folder, prepare=system.mark_saves)
        lengths.append(time.monotonic() - started)
        saves.append([child.marks[f"over {n}"] - child.marks[f"begun {n}"] for n in range(1, SAVES + 1)])
        shutil.rmtree(folder.parent)
    return [statistics.median(times) for times in zip(*saves, strict=True)], statistics.median(lengths)


def _kill(task: Kill) -> Trial:
    chance = random.Random(task.number)
    for _ in range(ATTEMPTS):
        folder = task.job.shop.room(f"kill{task.number}") / "run"
        child = task.job.start(folder, prepare=task.system.mark_saves)
        if _died_in_time(task, child, chance):
            trial = task.system.gone_on_with(task.job, folder, task.whole, saved=(task.save or 0) > 1)
            shutil.rmtree(folder.parent)
            return Trial(trial.outcome, f"{trial.note} ({task.job.method}, save {task.save}, trial {task.number})")
        shutil.rmtree(folder.parent)
    raise RuntimeError(f"{ATTEMPTS} kills came too late")


def _died_in_time(task: Kill, child: Child, chance: random.Random) -> bool:
    """Kills the child; whether it was still where it was to be killed."""
    if task.save is not None:
        child.until(f"begun {task.save}")
    began = child.marks[f"begun {task.save}"] if task.save is not None else time.monotonic()
    sleep_until(began + task.window * chance.random())
    child.kill()
    return child.wait() == -signal.SIGKILL and f"over {task.save}" not in child.marks


def sleep_until(moment: float) -> None:
    """To about ten microseconds: the last millisecond is spent looking at the clock."""
    if (left := moment - time.monotonic()) > 0.001:
        time.sleep(left - 0.001)
    while time.monotonic() < moment:
        pass
