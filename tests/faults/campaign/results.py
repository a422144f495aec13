"""What a campaign found, on disk: a line for the machine, and one for each campaign against each system."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from tests.faults.campaign.crew import Crew
from tests.faults.campaign.verdict import Tally

Line = dict[str, Any]


def machine(crew: Crew, seconds: float) -> Line:
    """Where, when and with what it was done."""
    from furrow.components.versions import versions

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "workers": crew.workers,
        "memory_gib": round(memory / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(crew.shop.folder),
        "versions": {name: version for name, version in versions().items() if name != "platform"},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": _commit(),
        "minutes": round(seconds / 60, 1),
    }


def write_results(file: Path, facts: Line, tallies: Sequence[Tally], *, part: bool = False) -> None:
    """`part`: what stands in the file of other campaigns stays, and so does the machine. Each line has its commit."""
    new = [{"kind": "tally", **tally.line(), "commit": facts["commit"]} for tally in tallies]
    if part and file.exists():
        facts, before = read_results(file)
        done = {(line["campaign"], line["system"]): line for line in new}
        new = [done.pop((line["campaign"], line["system"]), line) for line in before] + list(done.values())
    lines = [{"kind": "machine", **facts}, *new]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def read_results(file: Path) -> tuple[Line, list[Line]]:
    """The machine, and the tallies."""
    first, *others = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return first, others


def _file_system(folder: Path) -> str:
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = {str(place) for place in (folder.resolve(), *folder.resolve().parents)}
    return max((place, kind) for place, kind in mounts if place in above)[1]


def _commit() -> str:
    try:
        asked = ["git", "rev-parse", "--short", "HEAD"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
