"""The one family of errors that the user can mend: shown without a traceback, saying where, what, and what to do."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Collection, Iterable

from furrow.components.secrets import scrubbed

NAME_SHOWN = 60
"""Characters of a name from a file that a message shows."""
NAMES_SHOWN = 20
LONGEST_NAME, MOST_NAMES = 200, 10_000
"""What is looked for by its nearest name, and among how many: some 0.1 s."""


class FurrowError(Exception):
    """Something failed that the user can mend.

    `what` is one sentence without a full stop, `where` is `file:line` or a key path, `remedy` what to do next.
    `exit_code` is what the process ends with: 1, it failed.
    """

    exit_code = 1
    resumable = False
    """Whether the same command with --resume goes on with the run that this ended."""

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        what = scrubbed(what)
        super().__init__(what)
        self.what, self.where, self.remedy = what, where and scrubbed(where), remedy and scrubbed(remedy)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.remedy}" if self.remedy else text


class RequestError(FurrowError):
    """The request itself was wrong (a typo, a missing file, a value out of range): exit code 2."""

    exit_code = 2


def shortened(name: str) -> str:
    """A name that comes from a file, short enough for a message."""
    return name if len(name) <= NAME_SHOWN else name[: NAME_SHOWN - 1] + "…"


def several(names: Collection[str]) -> str:
    """Names that come from a file, as many as a message has room for."""
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(map(shortened, itertools.islice(names, NAMES_SHOWN))) + more


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name nearest to what was given, or None if nothing is near."""
    names = {str(name).lower(): str(name) for name in allowed}
    if len(given) > LONGEST_NAME or len(names) > MOST_NAMES:  # difflib would take minutes over them
        return None
    close = difflib.get_close_matches(given.lower(), list(names), n=1, cutoff=0.6)
    return names[close[0]] if close else None


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'? ` (where something is near) and then every allowed name, for the end of an error."""
    allowed = list(allowed)
    near = nearest(given, allowed)
    return (f"did you mean {near!r}? " if near else "") + "allowed: " + ", ".join(allowed)
