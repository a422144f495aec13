"""Measurements on disk, one a line, in the order in which they were made; and the figures that are made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Run:
    """One training by one system in one round of one case."""

    case: str
    system: str
    round: str
    """The same for all runs that were made in one turn after the other."""
    rows: int
    """Seen in the whole run, epochs counted; so with the tokens."""
    tokens: int
    learned: int
    operations: int
    """The floor's (shape.Arithmetic)."""
    gflops: float
    """Of plain matrix products, measured at the beginning of the round."""
    seconds: float
    """Of the whole process."""
    train_seconds: float | None = None
    first_step_seconds: float | None = None
    peak_bytes: int = 0
    losses: list[float] = field(default_factory=list)
    failed: str | None = None

    @property
    def rows_per_second(self) -> float | None:
        return self.rows / self.train_seconds if self.train_seconds else None

    @property
    def tokens_per_second(self) -> float | None:
        return self.tokens / self.train_seconds if self.train_seconds else None

    @property
    def learned_per_second(self) -> float | None:
        return self.learned / self.train_seconds if self.train_seconds else None

    @property
    def floor_seconds(self) -> float:
        """What the matrix products alone would take at the measured rate."""
        return self.operations / self.gflops / 1e9

    @property
    def floor_share(self) -> float | None:
        return self.floor_seconds / self.train_seconds if self.train_seconds else None


class Records:
    """A JSONL file of `{"kind": …}`: `run`, `help`, `environment`, `machine`."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def add(self, kind: str, what: dict[str, Any]) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **what}) + "\n")

    def add_run(self, run: Run) -> None:
        self.add("run", asdict(run))

    def all(self, kind: str) -> list[dict[str, Any]]:
        if not self.file.is_file():
            return []
        read = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()]
        return [
            {name: value for name, value in each.items() if name != "kind"} for each in read if each["kind"] == kind
        ]

    def latest(self, kind: str, key: str) -> dict[str, dict[str, Any]]:
        """The last of each by the value of `key`."""
        return {each[key]: each for each in self.all(kind)}

    def runs(self, case: str) -> list[Run]:
        return [Run(**each) for each in self.all("run") if each["case"] == case]

    def forget(self, case: str) -> None:
        """Takes out what a case (or `help`) has measured, before it is measured again, and the machines on which
        nothing that is left was measured; the last one stays, for what comes."""
        if not self.file.is_file():
            return
        kept: list[tuple[str, str]] = []
        for line in self.file.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            if (said["case"] if said["kind"] == "run" else said["kind"]) == case:
                continue
            if said["kind"] == "machine":
                _drop_unused_machine(kept)
            kept.append((said["kind"], line))
        self.file.write_text("".join(line + "\n" for _, line in kept), encoding="utf-8")


def _drop_unused_machine(lines: list[tuple[str, str]]) -> None:
    """Takes the last machine out of these (kind, line) where no measurement comes after it."""
    for place in reversed(range(len(lines))):
        if lines[place][0] in ("run", "help"):
            return
        if lines[place][0] == "machine":
            del lines[place]
            return


Figure = Callable[[Run], float | None]


def middle(runs: Iterable[Run], figure: Figure) -> float | None:
    """The median over the runs that have the figure."""
    values = [value for run in runs if (value := figure(run)) is not None]
    return median(values) if values else None


def ratio(runs: Iterable[Run], ours: str, theirs: str, figure: Figure) -> float | None:
    """The median over the rounds that hold both of ours / theirs: each pair ran one after the other."""
    by_round: dict[str, dict[str, float]] = {}
    for run in runs:
        if run.failed is None and (value := figure(run)) is not None:
            by_round.setdefault(run.round, {})[run.system] = value
    pairs = [values[ours] / values[theirs] for values in by_round.values() if ours in values and theirs in values]
    return median(pairs) if pairs else None


def farthest(left: list[float], right: list[float]) -> float | None:
    """The largest difference of two loss curves, step by step; None where they have not the same steps."""
    if not left or len(left) != len(right):
        return None
    return max(abs(ours - theirs) for ours, theirs in zip(left, right, strict=True))
