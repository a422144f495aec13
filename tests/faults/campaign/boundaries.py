"""A kill in front of every system call that changes the run's folder: of a save, of what comes after the last one, and
of a run that replaces another. Between two such calls the disk does not change: these are all the moments there are."""

from __future__ import annotations

import functools
import hashlib
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.children import Child
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.going_on import gone_on_with
from tests.faults.campaign.kills import LIMIT, left_alone
from tests.faults.campaign.marking import halt_at_once, mark_saves
from tests.faults.campaign.runs import Ending, Job, Prepare, litter
from tests.faults.campaign.syscalls import Call, calls, harm, refusal
from tests.faults.campaign.tiny import METHODS
from tests.faults.campaign.verdict import EXACT, LOST, WRONG, Tally, Trial, compared

NOT_REACHED = "not reached"
"""The process ended before it made the call. Counted apart: nothing was harmed."""
SHORT = ("training_args.max_steps=2", "data_preprocessing.seed=7")


@dataclass(frozen=True)
class Stretch:
    """A part of a run: from the mark at which it is made to wait, to another or to its end."""

    name: str
    job: Job
    begins: str
    ends: str
    replaces: bool = False
    """A finished run of the same job, of another seed."""

    def start(self, folder: Path) -> Child:
        """A run that waits where the stretch begins."""
        prepare: Prepare = halt_at_once if self.begins == "ready" else functools.partial(mark_saves, halt=self.begins)
        more = ("--overwrite",) if self.replaces else ()
        if self.replaces:
            shutil.copytree(_earlier(self.job), folder)
        child = self.job.start(folder, *more, prepare=prepare)
        child.until(self.begins)
        return child


@dataclass(frozen=True)
class Boundary:
    """Where to kill, and how a run ends that nobody kills."""

    stretch: Stretch
    whole: Ending
    call: Call


def run(crew: Crew) -> list[Tally]:
    stretches = [Stretch("a save", Job(crew.shop, method, (LIMIT,)), "begun 2", "over 2") for method in METHODS]
    stretches += [
        Stretch("publishing the final model", Job(crew.shop, "lora", (LIMIT,)), "over 3", ""),
        Stretch("replacing a run", Job(crew.shop, "full", SHORT), "ready", "", replaces=True),
    ]
    tallies: dict[str, Tally] = {}
    for stretch in stretches:
        name = f"system calls of {stretch.name}"
        tally = tallies.setdefault(name, Tally(name, "furrow", (EXACT,)))
        if (why := refusal()) is not None:
            tally.skipped = why
            continue
        crew.tally(tally, _kill, _boundaries(stretch, crew))
    return list(tallies.values())


def _boundaries(stretch: Stretch, crew: Crew) -> list[Boundary]:
    folder = crew.shop.room("traced") / "run"
    child = stretch.start(folder)
    found = calls(child, folder, stretch.ends)
    if child.code != 0:
        raise RuntimeError(f"the traced run ended with {child.code}: {child.said[-500:]}")
    shutil.rmtree(folder.parent)
    whole = left_alone(stretch.job)
    every = max(1, len(found) // 2) if crew.quick else 1
    return [Boundary(stretch, whole, call) for call in found[::every]]


def _kill(task: Boundary) -> Trial:
    stretch = task.stretch
    folder = stretch.job.shop.room("boundary") / "run"
    child = stretch.start(folder)
    before = _weights(folder / "final_model")
    harm(child, task.call, "signal=KILL")
    if child.code != -signal.SIGKILL:
        trial = Trial(NOT_REACHED, f"ended with {child.code}")
    elif stretch.replaces:
        trial = _replaced(task, folder, before)
    else:
        trial = _torn(folder) or gone_on_with(stretch.job, folder, task.whole, saved=True)
    shutil.rmtree(folder.parent)
    return Trial(trial.outcome, f"{trial.note} (killed before {stretch.name}, {stretch.job.method}, {task.call.place})")


def _torn(folder: Path) -> Trial | None:
    """Whatever bears the name of a checkpoint or of the final model is whole, at once and before anybody mends."""
    from furrow.components.disk.checkpoint_folder import checkpoints_in, damage

    for checkpoint in checkpoints_in(folder / "checkpoints").values():
        if (wrong := damage(checkpoint)) is not None:
            return Trial(WRONG, f"{checkpoint.name} has its name and is not whole: {wrong}")
    return None


def _replaced(task: Boundary, folder: Path, before: str | None) -> Trial:
    """The earlier run's model is there until the new one is; then the same command again, or `--resume`, ends well."""
    kept = {_weights(place / "final_model") for place in (folder, folder / ".earlier", folder / ".earlier-moving")}
    if not kept & {before, task.whole.weights}:
        return Trial(LOST, "neither the earlier model nor the new one is there")
    child = task.stretch.job.run(folder, "--resume")
    if child.code == 2:
        child = task.stretch.job.run(folder, "--overwrite")
    return compared(folder, task.whole, child.said, child.code)


@functools.cache
def _earlier(job: Job) -> Path:
    """A finished run of another seed."""
    folder = job.shop.room("earlier") / "run"
    child = Job(job.shop, job.method, (*job.settings, "training_args.seed=1")).run(folder)
    if child.code != 0 or litter(folder):
        raise RuntimeError(f"the earlier run ended with {child.code}: {child.said[-500:]}")
    return folder


def _weights(model: Path) -> str | None:
    files = list(model.glob("*.safetensors"))
    return hashlib.sha256(files[0].read_bytes()).hexdigest() if len(files) == 1 else None
