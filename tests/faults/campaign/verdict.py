"""What came of a trial, and of all trials of a campaign."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.campaign.runs import Ending, ending, litter

EXACT, STUCK, WRONG, LOST, LITTERED = "exact", "stuck", "wrong", "lost", "littered"
NOTES = 5
"""Failures that are told in words; the others are counted."""


@dataclass(frozen=True)
class Trial:
    """What came of one harm."""

    outcome: str
    note: str = ""


@dataclass
class Tally:
    """What came of a campaign against one system."""

    campaign: str
    system: str
    good: tuple[str, ...]
    """The outcomes that are as they should be."""
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    skipped: str | None = None
    """Why it could not be done on this machine."""

    def add(self, trial: Trial) -> None:
        self.counts[trial.outcome] += 1
        if trial.outcome not in self.good and len(self.notes) < NOTES:
            self.notes.append(f"{trial.outcome}: {trial.note}")

    @property
    def tried(self) -> int:
        return sum(self.counts.values())

    @property
    def as_promised(self) -> int:
        return sum(self.counts[outcome] for outcome in self.good)

    @property
    def passed(self) -> bool:
        """Every trial ended as it should, and there were some; what cannot be done here has not failed."""
        return self.skipped is not None or 0 < self.tried == self.as_promised

    def line(self) -> dict[str, Any]:
        return {**asdict(self), "counts": dict(self.counts), "tried": self.tried, "passed": self.passed}


def compared(folder: Path, whole: Ending, said: str, code: int, *, harmless: tuple[str, ...] = ()) -> Trial:
    """The verdict on a run that was gone on with. `whole`: how one ends unharmed; `harmless` may lie there."""
    if code != 0:
        return Trial(STUCK, f"ended with {code}: {last_line(said)}")
    try:
        found = ending(folder)
    except (OSError, ValueError) as error:
        return Trial(WRONG, f"has no readable result: {error!r}")
    if found != whole:
        what = "weights" if found.weights != whole.weights else "losses"
        return Trial(WRONG, f"other {what} than the run that was left alone: steps {first_steps(found)}")
    left = [name for name in litter(folder) if name not in harmless]
    return Trial(LITTERED, ", ".join(left)) if left else Trial(EXACT)


def first_steps(found: Ending) -> str:
    return ", ".join(str(step) for step, _ in found.losses)


def last_line(said: str) -> str:
    """The error, where there is one: what a person would read first."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [place for place, line in enumerate(lines) if "error:" in line.lower()]
    return " ".join(lines[errors[-1] :][:3]) if errors else (lines[-1] if lines else "nothing")
