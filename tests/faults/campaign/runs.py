"""Runs of the command line in children, and what one run must have in common with another: every bit."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.campaign.children import Child, Marks, fork
from tests.faults.campaign.tiny import Shop

Losses = tuple[tuple[int, float], ...]
Prepare = Callable[[Marks], None]
LITTER = re.compile(r"\.(.*\.(partial|removed|replaced)-\d+.*|earlier|earlier-moving|lock|.*\.swap.*)", re.DOTALL)
"""Hidden names that Furrow gives: of components/disk/staging.py, stages/run/folder.py and stages/run/lock.py."""


@dataclass(frozen=True)
class Job:
    """One strategy with changes to it."""

    shop: Shop
    method: str
    settings: tuple[str, ...] = ()
    """As after `--set`."""

    def command(self, folder: Path, *more: str) -> list[str]:
        changed = [part for setting in self.settings for part in ("--set", setting)]
        return [
            "train", "--strategy", self.method, "--strategy-file", str(self.shop.strategies), *changed,
            "--output-dir", str(folder), *more,
        ]  # fmt: skip

    def start(self, folder: Path, *more: str, prepare: Prepare | None = None) -> Child:
        """Begins to train into `folder`."""
        return start(self.command(folder, *more), folder.with_suffix(".said"), prepare)

    def run(self, folder: Path, *more: str, prepare: Prepare | None = None) -> Child:
        """Trains to the end, whatever that is."""
        child = self.start(folder, *more, prepare=prepare)
        child.wait()
        return child


def killed_where_it_halts(job: Any, folder: Path, mark: str, prepare: Prepare) -> None:
    """Trains into `folder` to that mark, at which `prepare` makes it wait, and kills it there."""
    child = job.start(folder, prepare=prepare)
    child.until(mark)
    child.kill()
    if child.wait() != -signal.SIGKILL:
        raise RuntimeError(f"the run ended with {child.code}: {child.said[-500:]}")


def start(command: Sequence[str], said_in: Path, prepare: Prepare | None = None) -> Child:
    """The command line in a child. `prepare` runs before it in there: it may set marks and do harm."""

    def action(marks: Marks) -> None:
        from furrow.cli import main

        sys.argv = ["furrow", *command]
        if prepare is not None:
            prepare(marks)
        main(list(command))

    return fork(action, said_in)


@dataclass(frozen=True)
class Ending:
    """What a run came to: sha256 of its weights, and the loss of every step in the order of the record."""

    weights: str
    losses: Losses


def ending(folder: Path) -> Ending:
    """Reads a finished run."""
    [weights] = (folder / "final_model").glob("*.safetensors")
    losses = tuple((event["step"], event["loss"]) for event in events(folder) if event["event"] == "step_ended")
    return Ending(hashlib.sha256(weights.read_bytes()).hexdigest(), losses)


def events(folder: Path) -> list[dict]:
    """What a run recorded; a line that was not finished is none."""
    file = folder / "metrics.jsonl"
    found = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def litter(folder: Path) -> list[str]:
    """What a run folder, or the folder of an export, must not hold when nobody is at work in it."""
    if not folder.is_dir():
        return []
    names = (Path(place) / name for place, folders, files in os.walk(folder) for name in (*folders, *files))
    return [str(path.relative_to(folder)) for path in names if LITTER.fullmatch(path.name)]
