"""What `setup` asks before any work: small questions with an answer, what was found, and what to do."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["passed", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """One answered question: `found` is what is there, `remedy` what to do (empty when it passed)."""

    name: str
    status: Status
    found: str
    remedy: str = ""


Checks = Callable[[Any], Iterable[Check]]
"""A component's own checks: its config in, answers out. Changes nothing, imports nothing heavy."""


def no_checks(config: Any) -> Iterable[Check]:
    """For a component that needs nothing beyond its packages."""
    return ()


def check_package(package: str, extra: str | None) -> Check:
    """Is the distribution installed, and which version? Reads its metadata; imports nothing."""
    try:
        return Check(f"package {package}", "passed", importlib.metadata.version(package))
    except importlib.metadata.PackageNotFoundError:
        wanted = f"furrow[{extra}]" if extra else "furrow"
        return Check(f"package {package}", "failed", "not installed", f"pip install '{wanted}'")
