"""The packages that the wired components import: there, and in a version that Furrow was made for.

Reads the metadata of installed distributions; imports none of them. Knows the ranges of Furrow's own requirements only.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable, Iterator, Sequence

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from furrow.components.checks import Check, check_package
from furrow.strategies.wiring import Wired


def check_packages(wired: Sequence[Wired]) -> Iterator[Check]:
    """One answer for each package that is missing or of a wrong version, and one that lists the others."""
    ranges = _ranges()
    if ranges is None:
        yield Check(
            "packages", "warning", "furrow itself is not installed: versions are not compared", "pip install -e ."
        )
    fine = [f"Python {platform.python_version()}"]
    for package, extra in needed(wired).items():
        check = _check(package, extra, ranges or {})
        if check.status == "passed":
            fine.append(f"{package} {check.found}")
        else:
            yield check
    yield Check("packages", "passed", ", ".join(fine))


def needed(wired: Iterable[Wired]) -> dict[str, str | None]:
    """Distribution -> the extra that installs it (None: a plain requirement), each once."""
    found: dict[str, str | None] = {}
    for one in wired:
        for package in one.component.requires:
            found[package] = found.get(package) or one.component.extra
    return found


def _check(package: str, extra: str | None, ranges: dict[str, Requirement]) -> Check:
    check = check_package(package, extra if _is_of(extra, ranges.get(canonicalize_name(package))) else None)
    allowed = ranges.get(canonicalize_name(package))
    if check.status != "passed" or allowed is None or allowed.specifier.contains(check.found, prereleases=True):
        return check
    found = f"version {check.found} is installed, Furrow was made for {allowed.specifier}"
    return Check(check.name, "failed", found, f"pip install '{allowed.name}{allowed.specifier}'")


def _is_of(extra: str | None, requirement: Requirement | None) -> bool:
    """Whether it takes the extra to get the package: a component with an extra also lists plain requirements."""
    return extra is not None and (requirement is None or requirement.marker is not None)


def _ranges() -> dict[str, Requirement] | None:
    """Canonical name -> what pyproject.toml says of it; None where Furrow runs without being installed."""
    try:
        lines = importlib.metadata.requires("furrow") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return {canonicalize_name(one.name): one for one in map(Requirement, lines)}
