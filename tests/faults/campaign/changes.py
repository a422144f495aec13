"""Another learning rate when a run is gone on with: refused with both values, and applied where it is allowed."""

from __future__ import annotations

import functools
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.crew import Crew
from tests.faults.campaign.marking import mark_saves
from tests.faults.campaign.runs import Job, events, killed_where_it_halts
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import Tally, Trial, last_line

REFUSED, APPLIED = "refused with both values", "allowed and applied"
IGNORED, IGNORED_TOLD, UNCLEAR = "ignored without a word", "ignored and told", "unclear message"
KEY, BEFORE, STEPS = "training_args.learning_rate", 0.005, 6


def share_left(step: int) -> float:
    """What a linear schedule over all steps leaves of the learning rate at a step (counted from 1)."""
    return (STEPS - (step - 1)) / STEPS


@dataclass(frozen=True)
class Change:
    """Another learning rate, allowed or not."""

    job: Job
    rate: float
    allowed: bool


def run(crew: Crew) -> list[Tally]:
    changes = [
        Change(Job(crew.shop, METHODS[number // 2 % 2]), round(0.001 + number * 1e-4, 6), number % 2 == 1)
        for number in range(crew.count(20, 2))
    ]
    return [crew.tally(Tally("changed learning rate", "furrow", (REFUSED, APPLIED)), _change, changes)]


@functools.cache
def _cut(job: Job) -> Path:
    folder = job.shop.room("cut") / "run"
    killed_where_it_halts(job, folder, "over 2", functools.partial(mark_saves, halt="over 2"))
    return folder


def _change(task: Change) -> Trial:
    folder = task.job.shop.room("change") / "run"
    shutil.copytree(_cut(task.job), folder)
    allowing = ("--allow-change", KEY) if task.allowed else ()
    child = task.job.run(folder, "--resume", "--set", f"{KEY}={task.rate}", *allowing)
    rates = {event["step"]: event["learning_rate"] for event in events(folder) if event["event"] == "step_ended"}
    manifest, said = (folder / "manifest.json").read_text(), child.said
    shutil.rmtree(folder.parent)
    if not task.allowed:
        told = all(word in said for word in (KEY, f"{BEFORE:g}", f"{task.rate:g}"))
        return Trial(REFUSED if child.code == 2 and told and max(rates) == 4 else UNCLEAR, last_line(said))
    if child.code != 0:
        return Trial(UNCLEAR, f"ended with {child.code}: {last_line(said)}")
    applied = math.isclose(rates[5], task.rate * share_left(5), rel_tol=1e-9) and f"{task.rate:g}" in manifest
    return Trial(APPLIED if applied else IGNORED, f"{rates}")
