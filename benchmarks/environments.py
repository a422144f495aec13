"""One virtual environment per peer, so that none decides on another's versions; made once, in a git-ignored folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.told import published

TORCH = "torch==2.13.0"
"""Installed first: a looser wish would bring gigabytes of CUDA packages to a machine without a GPU."""
SHOWN = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes", "litgpt", "lightning", "llamafactory")
SHOWN += ("axolotl",)
SECONDS = 30 * 60
"""After this long an installation has failed."""


@dataclass(frozen=True)
class Environment:
    """What pip installs beside TORCH, and what is taken away again afterwards."""

    packages: tuple[str, ...]
    removed: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    """Files, as patterns below site-packages."""
    note: str = ""
    """What a reader should know of the installation."""


ENVIRONMENTS = {
    "trainer": Environment(
        ("transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0", "bitsandbytes==0.50.2"),
    ),
    "trl": Environment(("trl==1.16.0", "transformers==5.23.0", "peft==0.21.2", "accelerate==1.15.0", "rich")),
    "litgpt": Environment(("litgpt==0.5.13", "requests"), note="needs `requests` to start, which it does not declare"),
    "llamafactory": Environment(
        ("llamafactory==0.9.5",),
        removed=("torchvision",),
        deleted=("torchaudio/lib/*.so",),
        note="its torchvision and torchaudio are built for CUDA; the first is removed, the library of the second too",
    ),
    "axolotl": Environment(("axolotl==0.19.0",)),
}


@dataclass(frozen=True)
class Made:
    """An environment as it is on disk."""

    name: str
    installed: bool
    minutes: float
    said: str
    """The last line of pip, where it failed."""
    versions: dict[str, str]
    programs: Path


def make(name: str, folder: Path, tell: Callable[[str], None]) -> Made:
    """The environment, made now or earlier; one that failed is tried again. Never raises for a package that fails."""
    wanted = ENVIRONMENTS[name]
    place = folder / name
    stamp = place / "made.json"
    wish = [TORCH, *wanted.packages, *(f"-{package}" for package in (*wanted.removed, *wanted.deleted))]
    if stamp.is_file():
        facts = json.loads(stamp.read_text(encoding="utf-8"))
        if facts["wish"] == wish:
            return Made(name, True, facts["minutes"], "", facts["versions"], place / "bin")
    if place.exists():
        shutil.rmtree(place)
    (folder / f"{name}.log").unlink(missing_ok=True)
    started = time.monotonic()
    tell(f"{name}: making its environment")
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(place / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    steps = [("torch", ["install", TORCH]), (", ".join(wanted.packages), ["install", TORCH, *wanted.packages])]
    if wanted.removed:
        steps.append((f"without {', '.join(wanted.removed)}", ["uninstall", "--yes", *wanted.removed]))
    for what, arguments in steps:
        tell(f"{name}: {what}")
        with (folder / f"{name}.log").open("a", encoding="utf-8") as log:
            try:
                ended = subprocess.run(
                    [*pip, *arguments], stdout=log, stderr=subprocess.STDOUT, timeout=SECONDS
                ).returncode
                said = "" if ended == 0 else _last_line(folder / f"{name}.log")
            except subprocess.TimeoutExpired:
                ended, said = 1, f"was not done after {SECONDS // 60} minutes"
        if ended:
            tell(f"{name}: did not install: {said}")
            return Made(name, False, _minutes(started), said, {}, place / "bin")
    for file in (file for pattern in wanted.deleted for file in place.glob(f"lib/python*/site-packages/{pattern}")):
        file.unlink()
    made = Made(name, True, _minutes(started), "", _versions(pip), place / "bin")
    facts = {"wish": wish, "minutes": made.minutes, "versions": made.versions}
    stamp.write_text(json.dumps(facts, indent=2), encoding="utf-8")
    tell(f"{name}: ready after {made.minutes:.1f} minutes")
    return made


def own_versions() -> dict[str, str]:
    """Of the environment that runs this."""
    return _versions([sys.executable, "-m", "pip", "--disable-pip-version-check"])


def _versions(pip: list[str]) -> dict[str, str]:
    listed = subprocess.run([*pip, "list", "--format=json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    packages = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout or b"[]")}
    return {name: packages[name] for name in SHOWN if name in packages}


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return published((errors or lines or ["pip said nothing"])[-1])


def _minutes(started: float) -> float:
    return round((time.monotonic() - started) / 60, 2)
