"""A bit flips in a checkpoint, or a file of it is cut short. It is found before the first step and told by name, what
is broken is put away, the checkpoint before it is taken, and the run ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.crew import Crew
from tests.faults.campaign.kills import left_alone
from tests.faults.campaign.marking import mark_saves
from tests.faults.campaign.runs import Ending, Job, events, killed_where_it_halts
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import EXACT, WRONG, Tally, Trial, compared

FOUND, UNNOTICED, UNNAMED = "found", "unnoticed", "not named"
NEWEST, BEFORE = "step-00000004", "step-00000002"


@dataclass(frozen=True)
class Harm:
    """One file of the newest checkpoint, changed."""

    job: Job
    whole: Ending
    template: Path
    file: str
    kind: str
    number: int


def run(crew: Crew) -> list[Tally]:
    kinds = {"flipped bits": crew.count(300, 4), "truncations": crew.count(100, 2)}
    cut = {method: _cut_run(Job(crew.shop, method)) for method in METHODS}
    tallies = []
    for kind, count in kinds.items():
        harms = []
        for number in range(count):
            method = METHODS[number % len(METHODS)]
            job, whole, template = cut[method]
            files = files_of(template / "checkpoints" / NEWEST)
            harms.append(Harm(job, whole, template, files[number // len(METHODS) % len(files)], kind, number))
        tallies.append(crew.tally(Tally(kind, "furrow", (FOUND,)), _try, harms))
    return tallies


def files_of(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


def change(file: Path, kind: str, number: int) -> str:
    """Flips one bit, or cuts the file short, at a place that chance decides; says what was done."""
    chance, content = random.Random(number), bytearray(file.read_bytes())
    if kind == "truncations":
        kept = chance.randrange(len(content))
        file.write_bytes(content[:kept])
        return f"{kept} of {len(content)} bytes kept"
    bit = chance.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    return f"bit {bit} of {8 * len(content)}"


def _cut_run(job: Job) -> tuple[Job, Ending, Path]:
    """A run that was killed after its second checkpoint, as a template, and how it would have ended."""
    folder = job.shop.room("cut") / "run"
    killed_where_it_halts(job, folder, "over 2", lambda marks: mark_saves(marks, halt="over 2"))
    return job, left_alone(job), folder


def _try(task: Harm) -> Trial:
    folder = task.job.shop.room("flip") / "run"
    shutil.copytree(task.template, folder)
    done = change(folder / "checkpoints" / NEWEST / task.file, task.kind, task.number)
    child = task.job.run(folder, "--resume")
    trial = _judged(task, folder, child.said, child.code)
    shutil.rmtree(folder.parent)
    return Trial(trial.outcome, f"{trial.note} ({task.job.method}: {task.file}, {done})")


def _judged(task: Harm, folder: Path, said: str, code: int) -> Trial:
    record = events(folder)
    steps = [event["step"] for event in record if event["event"] == "resumed"]
    if steps == [4]:
        return Trial(UNNOTICED, "the run went on from what was harmed")
    if steps != [2] or not (folder / "checkpoints/quarantine" / NEWEST).is_dir():
        return Trial(WRONG, f"went on from {steps}, ended with {code}: {said[-200:]}")
    if NEWEST not in said or task.file not in said.replace("\n", " "):
        return Trial(UNNAMED, said[:300])
    trial = compared(folder, task.whole, said, code)
    return Trial(FOUND) if trial.outcome == EXACT else trial
