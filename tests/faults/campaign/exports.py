"""An export is harmed: killed before each system call that changes the disk, with an earlier export to replace, and on
disks that are too small. What bears its name is whole; the command, said again, makes it."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from furrow.components.disk.staging import sweep
from tests.faults.campaign.boundaries import NOT_REACHED
from tests.faults.campaign.children import Child
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.disks import FAILED, FITTED, UNCLEAR
from tests.faults.campaign.marking import halt_at_once
from tests.faults.campaign.runs import Job, litter, start
from tests.faults.campaign.small_disk import on_small_disk
from tests.faults.campaign.small_disk import refusal as no_disks
from tests.faults.campaign.syscalls import Call, calls, harm, refusal
from tests.faults.campaign.verdict import EXACT, LITTERED, LOST, STUCK, WRONG, Tally, Trial, last_line

FORMATS = ("merged", "gguf")


@dataclass(frozen=True)
class Export:
    """A finished run's model on its way to another format."""

    job: Job
    model: Path
    format: str
    earlier: Path
    """What another model came to, in the place that is to be replaced."""
    whole: str
    """`digest` of what it comes to when nobody harms it."""

    def start(self, made: Path, *more: str, halted: bool = False, said_in: Path | None = None) -> Child:
        command = ["convert", str(self.model), str(made), "--format", self.format, "--model-name", "tiny", *more]
        return start(command, said_in or made.parent.with_suffix(".said"), halt_at_once if halted else None)


@dataclass(frozen=True)
class Boundary:
    """Where to kill it."""

    export: Export
    call: Call


@dataclass(frozen=True)
class Small:
    """How many bytes there are for it."""

    export: Export
    size: int


def run(crew: Crew) -> list[Tally]:
    killed = Tally("system calls of an export", "furrow", (EXACT,))
    full = Tally("full disks at export", "furrow", (FITTED, FAILED))
    killed.skipped, full.skipped = refusal(), no_disks(crew.shop)
    for export in _exports(crew):
        if killed.skipped is None:
            crew.tally(killed, _kill, _boundaries(export, crew))
        if full.skipped is None:
            crew.tally(full, _fill, _small(export, crew.count(12, 1)))
    return [killed, full]


def _exports(crew: Crew) -> Iterator[Export]:
    job = Job(crew.shop, "lora")
    other = Job(crew.shop, "lora", ("training_args.seed=1",))
    models = []
    for each in (job, other):
        folder = crew.shop.room("model") / "run"
        if each.run(folder).code != 0:
            raise RuntimeError("a run that nobody harmed failed")
        models.append(folder / "final_model")
    for kind in FORMATS:
        made = []
        for model in models:
            place = crew.shop.room("export") / "made"
            child = Export(job, model, kind, place, "").start(place)
            if child.wait() != 0:
                raise RuntimeError(f"an export that nobody harmed failed: {child.said[-500:]}")
            made.append(place)
        if digest(made[0]) == digest(made[1]):
            raise RuntimeError("the two exports are to differ")
        yield Export(job, models[0], kind, made[1], digest(made[0]))


def digest(made: Path) -> str:
    """sha256 over the names and contents of all files that have their names: what is being written is hidden."""
    files = {file: file.relative_to(made) for file in sorted(made.rglob("*")) if file.is_file()}
    sums = {
        str(name): hashlib.sha256(file.read_bytes()).hexdigest()
        for file, name in files.items()
        if not any(part.startswith(".") for part in name.parts)
    }
    return hashlib.sha256(json.dumps(sums).encode()).hexdigest()


def _boundaries(export: Export, crew: Crew) -> list[Boundary]:
    room = crew.shop.room("traced")
    shutil.copytree(export.earlier, room / "made")
    child = export.start(room / "made", "--overwrite", halted=True)
    child.until("ready")
    found = calls(child, room, "")
    shutil.rmtree(room)
    every = max(1, len(found) // 3) if crew.quick else 1
    return [Boundary(export, call) for call in found[::every]]


def _kill(task: Boundary) -> Trial:
    export, room = task.export, task.export.job.shop.room("export")
    made = room / "made"
    shutil.copytree(export.earlier, made)
    child = export.start(made, "--overwrite", halted=True)
    child.until("ready")
    harm(child, task.call, "signal=KILL")
    trial = Trial(NOT_REACHED) if child.code != -signal.SIGKILL else _gone_on_with(export, made)
    shutil.rmtree(room)
    return Trial(trial.outcome, f"{trial.note} ({export.format}, {task.call.place})")


def _gone_on_with(export: Export, made: Path) -> Trial:
    if not made.exists():
        return Trial(LOST, "neither the earlier export nor the new one is there")
    sweep(made)  # a file and the page about it get their names one after the other: whoever comes next finishes that
    if digest(made) not in (digest(export.earlier), export.whole):
        return Trial(WRONG, "what has its name is neither the earlier export nor the new one")
    child = export.start(made, "--overwrite")
    if child.wait() != 0:
        return Trial(STUCK, last_line(child.said))
    if digest(made) != export.whole:
        return Trial(WRONG, "another export than the one that nobody harmed")
    left = litter(made.parent)
    return Trial(LITTERED, ", ".join(left)) if left else Trial(EXACT)


def _small(export: Export, count: int) -> list[Small]:
    needed = sum(8192 + file.stat().st_size * 6 // 5 for file in [export.earlier, *export.earlier.rglob("*")])
    return [Small(export, needed * (number + 1) // count) for number in range(count)]


def _fill(task: Small) -> Trial:
    room = task.export.job.shop.room("disk")
    said_in = room / "export.said"
    child = on_small_disk(room, task.size, lambda disk: task.export.start(disk.place / "made", said_in=said_in).wait())
    trial = _judged(task, child.code, room / "kept", said_in.read_text(errors="replace"), str(room / "disk"))
    shutil.rmtree(room)
    return Trial(trial.outcome, f"{trial.note} ({task.export.format}, {task.size} bytes)")


def _judged(task: Small, code: int | None, kept: Path, said: str, place: str) -> Trial:
    if code == 0:
        fits = digest(kept / "made") == task.export.whole
        return Trial(FITTED) if fits else Trial(WRONG, "another export than where there is room")
    error = " ".join(said.split())
    if code not in (1, 2) or place not in error or "free" not in error or "Traceback" in said:
        return Trial(UNCLEAR, f"ended with {code}: {last_line(said)}")
    left = [str(path.relative_to(kept)) for path in kept.rglob("*")]
    return Trial(LITTERED, ", ".join(left)) if left else Trial(FAILED)
