"""Two processes, or five, begin to train into one folder at the same moment: exactly one does, the others name it.
Then it goes on to its end, or is killed, and the folder is free."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.children import Child, Marks, living
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.going_on import gone_on_with
from tests.faults.campaign.kills import left_alone
from tests.faults.campaign.marking import mark
from tests.faults.campaign.runs import Ending, Job
from tests.faults.campaign.verdict import EXACT, WRONG, Tally, Trial, compared

BOTH, NOBODY, UNNAMED = "more than one trained", "nobody trained", "holder not named"


@dataclass(frozen=True)
class Race:
    """So many processes; the winner lives or is killed."""

    job: Job
    whole: Ending
    runners: int
    killed: bool


def run(crew: Crew) -> list[Tally]:
    job = Job(crew.shop, "full")
    whole = left_alone(job)
    races = [Race(job, whole, 2 if number % 2 else 5, killed=number % 4 >= 2) for number in range(crew.count(50, 2))]
    return [crew.tally(Tally("races for a folder", "furrow", (EXACT,)), _race, races)]


def _at_the_line(marks: Marks) -> None:
    """Waits for the start; waits again once its first step is done, for then it is the owner."""
    from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop

    mark(TrainingLoop, "_step", marks, halt="over 1")
    marks.reach("ready", halt=True)


def _race(task: Race) -> Trial:
    folder = task.job.shop.room("race") / "run"
    with ExitStack() as stack:
        children = []
        for number in range(task.runners):
            said_in = folder.parent / f"{number}.said"
            children.append(stack.enter_context(living(_runner(task.job, folder, said_in))))
        for child in children:
            child.until("ready")
        for child in children:
            child.go()
        trial = _judged(task, folder, children)
    shutil.rmtree(folder.parent)
    return Trial(trial.outcome, f"{trial.note} ({task.runners} processes)")


def _runner(job: Job, folder: Path, said_in: Path) -> Child:
    from tests.faults.campaign.runs import start

    return start(job.command(folder), said_in, _at_the_line)


def _judged(task: Race, folder: Path, children: list[Child]) -> Trial:
    owners = [child for child in children if child.until("over 1")]  # None: it ended before
    if len(owners) != 1:
        return Trial(BOTH if owners else NOBODY, children[0].said[-200:])
    [owner] = owners
    time.sleep(0.01)
    for child in children:
        if child is owner:
            continue
        code = child.wait()
        said = " ".join(child.said.split())
        if code != 2 or f"process {owner.pid} on" not in said or "since" not in said:
            return Trial(UNNAMED, f"ended with {code}: {said[-200:]}")
    if not task.killed:
        owner.go()
        return compared(folder, task.whole, owner.said, owner.wait())
    owner.kill()
    owner.wait()
    trial = gone_on_with(task.job, folder, task.whole, saved=False)
    return trial if trial.outcome == EXACT else Trial(WRONG, f"after the holder's death: {trial.outcome}: {trial.note}")
