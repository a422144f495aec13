"""The checkpoints of a run on disk: what they are called, whether one is whole, and which one to go on from.

Reads and hashes files; knows nothing of what is in them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from furrow.components.events import Emit, Warned
from furrow.components.publish import remove, sha256_of

MANIFEST = "MANIFEST.json"
QUARANTINE = "quarantine"
"""Beside the checkpoints: what is not to be gone on from, by the name that it had."""
_NAME = re.compile(r"step-(\d{8,})")


def name_of(step: int) -> str:
    """`step-00000120`: sorted by name is sorted by step."""
    return f"step-{step:08d}"


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Step -> checkpoint, whole or not, in the order of the steps."""
    if not folder.is_dir():
        return {}
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir() if path.is_dir())
    return dict(sorted((int(match[1]), path) for match, path in named if match))


def write_manifest(checkpoint: Path, step: int) -> None:
    """Puts the sha256 of every file that lies in the folder beside them; to be called last."""
    (checkpoint / MANIFEST).write_text(json.dumps({"step": step, "sha256": _sums(checkpoint)}, indent=1))


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None where every file is as it was written. Reads all of it."""
    try:
        manifest = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
        step, listed = manifest["step"], manifest["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"it has no {MANIFEST} that can be read"
    if checkpoint.name != name_of(step) or not isinstance(listed, dict):
        return f"its {MANIFEST} belongs to another checkpoint"
    found = _sums(checkpoint)
    wrong = sorted(name for name in {*found, *listed} if found.get(name) != listed.get(name))
    return f"not as it was written: {', '.join(wrong)}" if wrong else None


def newest_whole(folder: Path, emit: Emit) -> Path | None:
    """The newest checkpoint whose hashes are right; damaged ones that are newer are set aside, with a warning."""
    for path in reversed(checkpoints_in(folder).values()):
        wrong = damage(path)
        if wrong is None:
            return path
        moved = set_aside(path)
        emit(Warned(message=f"the checkpoint {path.name} is damaged ({wrong})", remedy=f"it was moved to {moved}"))
    return None


def set_aside(checkpoint: Path) -> Path:
    """Moves a checkpoint out of the way; one of the same name that lies there already goes."""
    place = checkpoint.parent / QUARANTINE / checkpoint.name
    place.parent.mkdir(exist_ok=True)
    remove(place)
    return checkpoint.rename(place)


def _sums(checkpoint: Path) -> dict[str, str]:
    files = (file for file in sorted(checkpoint.rglob("*")) if file.is_file() and file != checkpoint / MANIFEST)
    return {str(file.relative_to(checkpoint)): sha256_of(file) for file in files}
