"""How a check ends that could not be made: what the user can mend becomes a failed answer, anything else is a bug."""

from __future__ import annotations

from collections.abc import Iterable

from furrow.components.checks import Check
from furrow.components.errors import FurrowError


def failure(name: str, error: FurrowError) -> Check:
    """The error as a failed answer."""
    found = f"{error.where}: {error.what}" if error.where else error.what
    return Check(name, "failed", found, error.remedy or "")


def answers(name: str, checks: Iterable[Check]) -> list[Check]:
    """Every answer; where one raises FurrowError, those before it and a failed one called `name`."""
    found: list[Check] = []
    try:
        for check in checks:
            found.append(check)
    except FurrowError as error:
        found.append(failure(name, error))
    return found
