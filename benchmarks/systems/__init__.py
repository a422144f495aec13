"""Who is measured: how each is asked to do the work, and how its own output says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from benchmarks.cases import Case
from benchmarks.workload import Workload


class Mark(NamedTuple):
    """What one line of output tells. `begun`: the first step starts now, or `seconds` ago; `step`: one has ended."""

    kind: Literal["begun", "step"]
    loss: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Job:
    """One run: what to train, on what, and an empty folder for whatever the system writes."""

    case: Case
    workload: Workload
    folder: Path


@dataclass(frozen=True)
class System:
    """One tool in one setting."""

    title: str
    environment: str | None
    """Its row in `environments.ENVIRONMENTS`; None is the environment that runs the benchmark, which has Furrow."""
    settings: str
    """What a reader should know of how it was run."""
    command: Callable[[Job, Path], list[str]]
    """(job, folder of its programs) -> what to run. Writes its settings into the job's folder."""
    marks: Callable[[], Callable[[str], Mark | None]]
    """Makes a fresh reader of its output, line by line."""
    prepare: Callable[[Workload, Path], None] | None = None
    """(workload, folder of its programs): puts the model into its own form, once, and not timed."""
    help: tuple[str, ...] = ()
    """Its program with `--help`; nothing where it is a library."""
