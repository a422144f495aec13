"""The checkpoints of a run on disk: what they are called, whether one is whole, and which one to go on from.

Reads and hashes files; knows nothing of what is in them.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from furrow.components.disk.hashing import sha256_of, sums_of
from furrow.components.disk.staging import discard
from furrow.components.disk.storage import StorageError
from furrow.components.events import Emit, Warned
from furrow.components.versions import versions

MANIFEST = "MANIFEST.json"
FORMAT = 1
"""Of the manifest: `step`, `versions`, `files`: name -> sha256 and bytes, and `self`, the sha256 of all that before it.
Before it had a format it held `step` and `sha256`: name -> sum, which is verified still."""
MODEL = "model"
"""The model as it was then, in a form that can be loaded and asked."""
STATE = "state.json"
"""The numbers of the training; `"evaluated": false` where the evaluation due at this step was given up."""
QUARANTINE = "quarantine"
"""Beside the checkpoints: what is not to be gone on from, by the name that it had."""
LARGEST = 16 << 20
"""Bytes of a manifest that is read; one of ours has some 120 for each file."""
_NAME = re.compile(r"step-([0-9]{8,18})")
_CANNOT_BE_READ = f"it has no {MANIFEST} that can be read"
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""What an error of the system says of the checkpoint; every other one is about the disk, or about this process."""

Sums = Mapping[str, tuple[str, int]]
"""Path of a file in its checkpoint -> (sha256, bytes)."""
Listed = Mapping[str, tuple[str, int | None]]
"""The same as a manifest says it; the older form has no sizes."""


def name_of(step: int) -> str:
    """`step-00000120`: sorted by name is sorted by step."""
    return f"step-{step:08d}"


def checkpoints_in(folder: Path) -> dict[int, Path]:
    """Step -> checkpoint, whole or not, in the order of the steps."""
    if not folder.is_dir():
        return {}
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir() if path.is_dir())
    return dict(sorted((int(match[1]), path) for match, path in named if match))


def write_manifest(checkpoint: Path, step: int, sums: Sums | None = None) -> None:
    """Puts name, sha256 and size of every file in the folder beside them; to be called last.

    `sums` are those that are known already: of files that were hashed while they were written.
    """
    known = sums or {}
    found = {
        name: known[name] if name in known else (sha256_of(file), size)
        for name, (file, size) in _files(checkpoint).items()
    }
    files = {name: {"sha256": digest, "bytes": size} for name, (digest, size) in found.items()}
    manifest = {"format": FORMAT, "step": step, "versions": versions(), "files": files}
    (checkpoint / MANIFEST).write_text(_sealed(manifest), encoding="utf-8")


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a checkpoint; None where every file is as it was written. Reads all of it.

    Nothing that the manifest says is used as a path. Raises StorageError where it cannot be read at this moment, of
    which nothing follows: a mount may come back.
    """
    try:
        return _damage(checkpoint)
    except OSError as error:
        said = error.strerror or error
        if error.errno in _NOT_THERE:
            return f"it cannot be read: {said}"
        raise StorageError(
            f"it cannot be read now ({said}), which does not say that it is damaged",
            where=str(error.filename or checkpoint),
            remedy=f"mend that and try again; or move {checkpoint} elsewhere to do without it",
        ) from error


def _damage(checkpoint: Path) -> str | None:
    manifest = read_manifest(checkpoint)
    if manifest is None:
        return _CANNOT_BE_READ
    if checkpoint.name != name_of(manifest["step"]):
        return f"its {MANIFEST} belongs to another checkpoint"
    listed: Listed = manifest["files"]
    found = _files(checkpoint)
    wrong = {name for name in {*found, *listed} if not _fits(name, found, listed)}
    if not wrong:  # reading takes long where there is much: not for what the sizes tell
        sums = sums_of(file for file, _ in found.values())
        wrong = {name for name, digest in zip(found, sums, strict=True) if listed[name][0] != digest}
    return f"not as it was written: {_shown(wrong)}" if wrong else None


def read_manifest(checkpoint: Path) -> dict[str, Any] | None:
    """`step`, `versions` and `files` (name -> (sha256, bytes or None)) of either form; None where it is no manifest.

    Raises OSError where it is there and cannot be read.
    """
    try:
        if not _is_plain(checkpoint / MANIFEST):
            return None
        with (checkpoint / MANIFEST).open("rb") as file:
            text = file.read(LARGEST + 1)
        manifest = json.loads(text) if len(text) <= LARGEST else None
        if isinstance(manifest, dict) and "format" in manifest and text.decode() != _sealed(manifest):
            return None
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    if not isinstance(manifest, dict) or type(manifest.get("step")) is not int or manifest["step"] < 0:
        return None
    files = _listed(manifest)
    known = manifest.get("versions", {})
    if files is None or not isinstance(known, dict):
        return None
    return {"step": manifest["step"], "versions": known, "files": files}


def newest_whole(folder: Path, emit: Emit) -> Path | None:
    """The newest checkpoint whose hashes are right; damaged ones that are newer are set aside, with a warning.

    Raises StorageError, and moves nothing, where one cannot be read.
    """
    for path in reversed(checkpoints_in(folder).values()):
        wrong = damage(path)
        if wrong is None:
            return path
        moved = set_aside(path)
        emit(Warned(message=f"the checkpoint {path.name} is damaged: {wrong}", remedy=f"it was moved to {moved}"))
    return None


def owes_evaluation(checkpoint: Path) -> bool:
    """Whether the evaluation after its step was given up, because the run was asked to end."""
    try:
        state = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False  # another fine-tuner's, which keeps its state elsewhere
    return isinstance(state, dict) and state.get("evaluated") is False


def set_aside(checkpoint: Path) -> Path:
    """Moves a checkpoint out of the way; one of the same name that lies there already goes."""
    place = checkpoint.parent / QUARANTINE / checkpoint.name
    place.parent.mkdir(exist_ok=True)
    discard(place)
    return checkpoint.rename(place)


def _sealed(manifest: Mapping[str, Any]) -> str:
    """The manifest as it is written: a bit that flips anywhere in it makes it another text than this."""
    content = {key: value for key, value in manifest.items() if key != "self"}
    own = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return json.dumps({**content, "self": own}, indent=1) + "\n"


def _listed(manifest: Mapping[str, Any]) -> Listed | None:
    """Of either form; None where something is not of the type that it should be."""
    if "format" in manifest:
        entries = manifest.get("files") if manifest["format"] == FORMAT else None
    else:
        sums = manifest.get("sha256")
        entries = {name: {"sha256": digest} for name, digest in sums.items()} if isinstance(sums, dict) else None
    if not isinstance(entries, dict):
        return None
    listed: dict[str, tuple[str, int | None]] = {}
    for name, entry in entries.items():
        digest, size = (entry.get("sha256"), entry.get("bytes")) if isinstance(entry, dict) else (None, None)
        if not isinstance(digest, str) or type(size) is not (int if "format" in manifest else type(None)):
            return None
        listed[name] = digest, size
    return listed


def _fits(name: str, found: Mapping[str, tuple[Path, int]], listed: Listed) -> bool:
    return name in found and name in listed and found[name][1] >= 0 and listed[name][1] in (None, found[name][1])


def _files(checkpoint: Path) -> dict[str, tuple[Path, int]]:
    """Name -> (file, bytes) of everything in it but its manifest and folders.

    What is no plain file (a link, a pipe) has -1 bytes, which no manifest can name: it was not there when it was saved.
    """
    found = {}
    for path in sorted(_under(checkpoint)):
        if path != checkpoint / MANIFEST and (path.is_symlink() or not path.is_dir()):
            found[path.relative_to(checkpoint).as_posix()] = (path, path.stat().st_size if _is_plain(path) else -1)
    return found


def _under(folder: Path) -> Iterator[Path]:
    """Everything. `rglob` would leave out a folder that may not be read, as if nothing were in it."""
    with os.scandir(folder) as entries:
        for entry in entries:
            yield Path(entry)
            if entry.is_dir(follow_symlinks=False):
                yield from _under(Path(entry))


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _shown(names: set[str]) -> str:
    few = ", ".join(sorted(names)[:5])
    return few if len(names) <= 5 else f"{few} and {len(names) - 5} more"
