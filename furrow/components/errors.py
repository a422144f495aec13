"""The one family of errors that the user can mend: shown without a traceback, saying where, what, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FurrowError(Exception):
    """Something failed that the user can mend.

    `what` is one sentence without a full stop, `where` is `file:line` or a key path, `remedy` what to do next.
    `exit_code` is what the process ends with: 1, it failed.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what, self.where, self.remedy = what, where, remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  {self.remedy}" if self.remedy else text


class RequestError(FurrowError):
    """The request itself was wrong (a typo, a missing file, a value out of range): exit code 2."""

    exit_code = 2


def nearest(given: str, allowed: Iterable[str]) -> str | None:
    """The allowed name nearest to what was given, or None if nothing is near."""
    names = {str(name).lower(): str(name) for name in allowed}
    close = difflib.get_close_matches(given.lower(), list(names), n=1, cutoff=0.6)
    return names[close[0]] if close else None


def did_you_mean(given: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'? ` (where something is near) and then every allowed name, for the end of an error."""
    allowed = list(allowed)
    near = nearest(given, allowed)
    return (f"did you mean {near!r}? " if near else "") + "allowed: " + ", ".join(allowed)
