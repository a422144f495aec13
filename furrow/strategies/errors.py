"""All that is wrong with a strategy, at once: each problem with its place, what is wrong, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from furrow.components.errors import RequestError
from furrow.components.secrets import scrubbed

MOST = 100
"""Problems that are shown."""
LONGEST = 1000
"""Characters of one; a strategy may have a key of 200,000."""
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
    strategy: str = ""
    """Whose it is, where several strategies are verified together."""

    def __str__(self) -> str:
        path, what = dotted(self.path), " ".join(self.what.splitlines())
        if self.strategy:
            path = f"strategy {self.strategy}: {path}".removesuffix(": ")
        text = scrubbed(f"{self.place}: {path}: {what}" if path else f"{self.place}: {what}")
        return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


class StrategyErrors(RequestError):
    """Everything that is wrong, in the order of the files: exit code 2."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: Sequence[Problem] = sorted(set(problems), key=_order)
        more = [f"and {len(self.problems) - MOST} more"] if len(self.problems) > MOST else []
        super().__init__("\n".join([*map(str, self.problems[:MOST]), *more]))


def dotted(path: Path) -> str:
    """`("a", "b", 0)` -> `a.b[0]`; the end of a line in a key is written as `\\n`, for a key may not pose as a line."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")
    return "".join(
        letter.encode("unicode_escape").decode() if letter.splitlines() == [""] else letter for letter in text
    )


def _order(problem: Problem) -> tuple[str, int, str, str]:
    return problem.place.source, problem.place.line or 0, problem.strategy, dotted(problem.path)
