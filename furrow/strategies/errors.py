"""All that is wrong with a strategy, at once: each problem with its place, what is wrong, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from furrow.components.errors import RequestError
from furrow.strategies.secret_values import scrubbed

Path = tuple[str | int, ...]
"""Keys (and list indices) from the strategy down."""


@dataclass(frozen=True)
class Place:
    """Where a key was written: `source` is a file or a `--set …`, `written` its path there, before it was moved."""

    source: str
    line: int | None
    written: Path

    def __str__(self) -> str:
        return f"{self.source}:{self.line}" if self.line is not None else self.source


@dataclass(frozen=True)
class Problem:
    """One thing to mend. `path` is as the user wrote it; whatever looks like an access token is not shown."""

    place: Place
    path: Path
    what: str

    def __str__(self) -> str:
        path = dotted(self.path)
        return scrubbed(f"{self.place}: {path}: {self.what}" if path else f"{self.place}: {self.what}")


class StrategyErrors(RequestError):
    """Everything that is wrong, in the order of the files: exit code 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(set(problems), key=_order)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def dotted(path: Path) -> str:
    """`("a", "b", 0)` -> `a.b[0]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _order(problem: Problem) -> tuple[str, int, str]:
    return problem.place.source, problem.place.line or 0, dotted(problem.path)
