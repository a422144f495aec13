"""SIGINT and SIGTERM at random moments of a run: while it reads, loads, trains, evaluates, saves. Once, and twice.

It ends with 130 or 143, has lost one step at most, and the command that it prints goes on to the very end that a run
has which nobody stopped.
"""

from __future__ import annotations

import random
import re
import shlex
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.campaign.children import Child, Marks
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.kills import ATTEMPTS, left_alone, sleep_until
from tests.faults.campaign.marking import mark
from tests.faults.campaign.runs import Ending, Job, events, start
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import EXACT, LOST, STUCK, WRONG, Tally, Trial, compared, last_line

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
CODE, NO_COMMAND = "wrong exit code", "no command"
STEP = 0.01
"""Seconds of a step, about."""
APART = 0.03
"""Most seconds between two signals. They are two different ones: the same one so soon is one wish told twice."""


@dataclass(frozen=True)
class Stop:
    """Which run to stop, how, and how long it takes when nobody does."""

    job: Job
    whole: Ending
    length: float
    number: int
    twice: bool

    @property
    def in_training(self) -> bool:
        """Every other one comes in one of the steps or just after it, which are a small part of so short a run."""
        return self.number // 2 % 2 == 0


def run(crew: Crew) -> list[Tally]:
    evaluated = ("training_args.save_steps=4", "training_args.eval_strategy=steps", "training_args.eval_steps=3")
    jobs = [Job(crew.shop, method, (*evaluated, f"dataset.eval_file={crew.shop.evaluation}")) for method in METHODS]
    known = [(job, left_alone(job), _length(job)) for job in jobs]
    tallies = []
    for twice, count in ((False, crew.count(100, 4)), (True, crew.count(40, 2))):
        stops = [Stop(*known[number % len(known)], number, twice) for number in range(count)]
        tallies.append(crew.tally(Tally("second signal" if twice else "signals", "furrow", (EXACT,)), _stop, stops))
    return tallies


def _marking(marks: Marks) -> None:
    """A mark where the command line begins to work (what comes before is Python's own), and one at each step."""
    from furrow import cli
    from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop

    inner = cli.cli.main

    def main(*arguments: Any, **named: Any) -> Any:
        marks.reach("began")
        return inner(*arguments, **named)

    cli.cli.main = main
    mark(TrainingLoop, "_step", marks)


def _length(job: Job) -> float:
    child = job.run(job.shop.room("timed") / "run", prepare=_marking)
    return time.monotonic() - child.marks["began"]


def _stop(task: Stop) -> Trial:
    chance = random.Random(task.number)
    for _ in range(ATTEMPTS):
        folder = task.job.shop.room("stop") / "run"
        first, second = chance.sample(sorted(CODES), 2)
        child = task.job.start(folder, prepare=_marking)
        step = chance.randint(2, 6)
        child.until(place := f"begun {step}" if task.in_training else "began")
        moment = (STEP if task.in_training else task.length) * chance.random()
        sleep_until(child.marks[place] + moment)
        child.kill(first)
        if task.twice:
            time.sleep(APART * chance.random())
            child.kill(second)
        child.wait()
        if child.code == 0:  # too late: it was over
            shutil.rmtree(folder.parent)
            continue
        trial = _judged(task, folder, child, {first, second} if task.twice else {first})
        shutil.rmtree(folder.parent)
        return Trial(trial.outcome, f"{trial.note} ({task.job.method}, {first.name}, {moment:.3f} s after {place})")
    raise RuntimeError(f"{ATTEMPTS} signals came too late")


def _judged(task: Stop, folder: Path, child: Child, sent: set[signal.Signals]) -> Trial:
    if child.code not in {CODES[number] for number in sent}:
        return Trial(CODE, f"{child.code}: {last_line(child.said)}")
    trained = (folder / "final_model").exists()
    steps = [event["step"] for event in events(folder) if event["event"] == "step_ended"]
    kept = [int(path.name.removeprefix("step-")) for path in folder.glob("checkpoints/step-*")]
    if not task.twice and not trained and steps and max(kept, default=0) < max(steps) - 1:
        return Trial(LOST, f"{max(steps)} steps were done and {max(kept, default=0)} kept")
    printed = re.search(r"(train .*--resume.*)", child.said)
    if printed is not None:
        again = start(shlex.split(printed[1]), folder.with_suffix(".said"))
        again.wait()
        return compared(folder, task.whole, again.said, again.code)
    if "the run is done" in child.said:
        return compared(folder, task.whole, child.said, 0)
    if kept or trained:
        return Trial(NO_COMMAND, f"{child.said[-300:]}")
    if folder.exists() and "nothing" not in child.said and "stopped" not in child.said:
        return Trial(WRONG, f"does not say that nothing is kept: {child.said[-300:]}")
    again = task.job.run(folder)
    trial = compared(folder, task.whole, again.said, again.code)
    return trial if trial.outcome != STUCK else Trial(STUCK, f"begun again: {trial.note}")
