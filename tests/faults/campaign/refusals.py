"""A disk that refuses single calls: an input/output error, a used-up quota, a file system that became read-only, at
system calls of a save. A run that may wait gets over it and ends as if nothing had been; one that may not says what it
could not write, and is gone on with."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from tests.faults.campaign.boundaries import Stretch
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.disks import FAILED, UNCLEAR, WAITED
from tests.faults.campaign.going_on import gone_on_with
from tests.faults.campaign.kills import LIMIT, left_alone
from tests.faults.campaign.runs import Ending, Job, litter
from tests.faults.campaign.syscalls import Call, calls, harm, refusal
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import EXACT, LITTERED, Tally, Trial, compared, last_line

ERRORS = ("EIO", "EDQUOT", "ENOSPC", "EROFS")
HARMLESS = ("close", "flock")
"""Calls that do not write; of those that write, each may be refused."""
IGNORED = "got over at once"


@dataclass(frozen=True)
class Refusal:
    """One call of a save that fails."""

    stretch: Stretch
    whole: Ending
    call: Call
    error: str
    patient: bool


def run(crew: Crew) -> list[Tally]:
    tally = Tally("refused system calls", "furrow", (FAILED, WAITED, IGNORED))
    if (why := refusal()) is not None:
        tally.skipped = why
        return [tally]
    tasks = []
    for method in METHODS:
        for patient in (False, True):
            seconds = f"training_args.save_retry_seconds={60 if patient else 0}"
            stretch = Stretch("a save", Job(crew.shop, method, (LIMIT, seconds)), "begun 2", "over 2")
            found = [call for call in _calls(stretch) if call.name not in HARMLESS]
            whole = left_alone(stretch.job)
            count = crew.count(4 if patient else 26, 1)  # a patient one waits for a second
            for number in range(count):
                error = ERRORS[number % len(ERRORS)]
                tasks.append(Refusal(stretch, whole, found[number * len(found) // count], error, patient))
    return [crew.tally(tally, _refuse, tasks)]


def _calls(stretch: Stretch) -> list[Call]:
    folder = stretch.job.shop.room("traced") / "run"
    child = stretch.start(folder)
    found = calls(child, folder, stretch.ends)
    shutil.rmtree(folder.parent)
    return found


def _refuse(task: Refusal) -> Trial:
    folder = task.stretch.job.shop.room("refused") / "run"
    child = task.stretch.start(folder)
    harm(child, task.call, f"error={task.error}")
    trial = _judged(task, folder, child.said, child.code)
    shutil.rmtree(folder.parent)
    what = f"{task.error} at {task.stretch.job.method}, {'patient' if task.patient else 'impatient'}, {task.call.place}"
    return Trial(trial.outcome, f"{trial.note} ({what})")


def _judged(task: Refusal, folder, said: str, code: int) -> Trial:
    if code == 0:
        trial = compared(folder, task.whole, said, code)
        if trial.outcome != EXACT:
            return trial
        return Trial(WAITED if "tries again" in said else IGNORED)
    error = " ".join(said.split())
    if code != 1 or "Traceback" in said or str(folder) not in error or "free" not in error or task.patient:
        return Trial(UNCLEAR, f"ended with {code}: {last_line(said)}")
    if left := litter(folder):
        return Trial(LITTERED, ", ".join(left))
    trial = gone_on_with(task.stretch.job, folder, task.whole, saved=True)
    return Trial(FAILED) if trial.outcome == EXACT else trial
