"""What applies of the campaign, against transformers' Trainer: kills, flips, NaN, a changed learning rate, two runs."""

from __future__ import annotations

import functools
import json
import math
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.faults.campaign import changes, flips
from tests.faults.campaign.children import Marks, living
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.flips import FOUND
from tests.faults.campaign.kills import killed_in_saves, left_alone
from tests.faults.campaign.locks import BOTH
from tests.faults.campaign.marking import mark
from tests.faults.campaign.nans import FOUND as AT_THE_STEP
from tests.faults.campaign.nans import plant
from tests.faults.campaign.runs import Ending, killed_where_it_halts
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.trainer import RESUME, STEPS, TRAINER, TrainerJob, ending, mark_saves, record, warm
from tests.faults.campaign.verdict import EXACT, Tally, Trial

SAME, OTHER = "unnoticed, the same result", "unnoticed, another result"
NO_OTHER = "found, and no other checkpoint tried"
ZERO, LOGGED, REFUSED = "logged a loss of 0", "logged NaN and went on", "one refused"


def run(crew: Crew) -> list[Tally]:
    warm()
    jobs = [TrainerJob(crew.shop, method) for method in METHODS]
    return [
        killed_in_saves(crew, TRAINER, jobs, crew.count(60, 4), first=2),
        *_flipped(crew),
        crew.tally(_tally("planted NaN", AT_THE_STEP), _planted, _plants(crew)),
        crew.tally(_tally("changed learning rate", changes.REFUSED, changes.APPLIED), _changed, _changes(crew)),
        crew.tally(_tally("races for a folder", REFUSED), _race, [TrainerJob(crew.shop, "full")] * crew.count(10, 1)),
    ]


def _tally(campaign: str, *good: str) -> Tally:
    return Tally(campaign, TRAINER.name, good)


@functools.cache
def _cut(job: TrainerJob) -> tuple[Path, Ending]:
    """A run that was killed after its second checkpoint, and how it would have ended."""
    folder = job.shop.room("cut") / "run"
    killed_where_it_halts(job, folder, "over 2", functools.partial(mark_saves, halt="over 2"))
    return folder, left_alone(job, TRAINER)


@dataclass(frozen=True)
class Flip:
    """One file of the newest checkpoint, changed."""

    job: TrainerJob
    file: str
    kind: str
    number: int


def _flipped(crew: Crew) -> list[Tally]:
    tallies = []
    for kind, count in (("flipped bits", crew.count(90, 2)), ("truncations", crew.count(30, 2))):
        tasks = []
        for number in range(count):
            job = TrainerJob(crew.shop, METHODS[number % 2], limit=None)
            files = flips.files_of(_cut(job)[0] / "checkpoint-4")
            tasks.append(Flip(job, files[number // 2 % len(files)], kind, number))
        tallies.append(crew.tally(_tally(kind, FOUND), _flip, tasks))
    return tallies


def _flip(task: Flip) -> Trial:
    template, whole = _cut(task.job)
    folder = task.job.shop.room("flip") / "run"
    shutil.copytree(template, folder)
    done = flips.change(folder / "checkpoint-4" / task.file, task.kind, task.number)
    child = task.job.run(folder, RESUME)
    if child.code != 0:
        trial = Trial(NO_OTHER, "an error, and no other checkpoint is tried")
    else:
        trial = Trial(SAME if ending(folder) == whole else OTHER)
    shutil.rmtree(folder.parent)
    return Trial(trial.outcome, f"{trial.note} ({task.job.method}: {task.file}, {done})")


@dataclass(frozen=True)
class Plant:
    """A NaN in a weight before a step, or in a gradient within it."""

    job: TrainerJob
    number: int
    step: int
    gradient: bool

    def prepare(self, marks: Marks) -> None:
        from transformers import Trainer

        inner, task, calls = Trainer.training_step, self, [0]

        def training_step(trainer: Any, model: Any, *arguments: Any, **named: Any) -> Any:
            calls[0] += 1
            if calls[0] == task.step and not task.gradient:
                plant(model, task.number, gradient=False)
            found = inner(trainer, model, *arguments, **named)
            if calls[0] == task.step and task.gradient:
                plant(model, task.number, gradient=True)
            return found

        Trainer.training_step = training_step


def _plants(crew: Crew) -> list[Plant]:
    return [
        Plant(TrainerJob(crew.shop, METHODS[number % 2]), number, 1 + number // 4 % (STEPS - 1), bool(number // 2 % 2))
        for number in range(crew.count(40, 2))
    ]


def _planted(task: Plant) -> Trial:
    folder = task.job.shop.room("nan") / "run"
    child = task.job.run(folder, prepare=task.prepare)
    losses = {event["step"]: event["loss"] for event in record(folder)}
    later = [loss for step, loss in losses.items() if step > task.step]
    shutil.rmtree(folder.parent)
    if child.code != 0 and not later:
        return Trial(AT_THE_STEP)
    if any(loss == 0 for loss in later):
        return Trial(ZERO, f"losses {json.dumps(losses)}")
    return Trial(LOGGED if any(map(math.isnan, later)) else OTHER, f"losses {json.dumps(losses)}")


def _changes(crew: Crew) -> list[TrainerJob]:
    rates = [0.001 * (1 + number) for number in range(crew.count(10, 1))]
    return [TrainerJob(crew.shop, METHODS[number % 2], None, rate) for number, rate in enumerate(rates)]


def _changed(job: TrainerJob) -> Trial:
    """The learning rate is another when it is resumed: said, applied, or neither."""
    before = replace(job, learning_rate=0.02)
    folder = job.shop.room("change") / "run"
    shutil.copytree(_cut(before)[0], folder)
    child = job.run(folder, RESUME)
    rates = {event["step"]: event["learning_rate"] for event in record(folder)}
    told = any("learning" in line and not line.startswith("{") for line in child.said.splitlines())  # its logs do
    shutil.rmtree(folder.parent)
    if child.code != 0:
        return Trial(changes.REFUSED)
    applied = math.isclose(rates[5], job.learning_rate * changes.share_left(5), rel_tol=1e-6)
    return Trial(changes.APPLIED if applied else changes.IGNORED_TOLD if told else changes.IGNORED, f"{rates}")


def _race(job: TrainerJob) -> Trial:
    """Two begin at once into one folder; whoever does a step is at work in it."""
    folder = job.shop.room("race") / "run"
    with ExitStack() as stack:
        runners = [stack.enter_context(living(job.start(folder, prepare=_halting))) for _ in range(2)]
        at_work = [child for child in runners if child.until("over 1")]
    shutil.rmtree(folder.parent)
    return Trial(BOTH if len(at_work) == 2 else REFUSED if at_work else EXACT)


def _halting(marks: Marks) -> None:
    from transformers import Trainer

    mark(Trainer, "training_step", marks, halt="over 1")
