"""Write beside, fsync, rename: whatever is published is whole or absent, also after `kill -9`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from furrow.components.errors import RequestError


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@contextlib.contextmanager
def publishing(destination: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A path beside `destination` to write a file or a folder to; it is renamed into place when the block ends well.

    When the block raises, what was written is removed and `destination` is as it was.
    Raises RequestError if `destination` exists and `overwrite` is false.
    """
    destination = Path(destination)
    refuse_existing(destination, overwrite)
    make_folder(destination.parent)
    staging = destination.parent / f".{destination.name}.partial-{os.getpid()}"
    remove(staging)
    try:
        yield staging
        if not staging.exists():
            raise RuntimeError(f"nothing was written to {staging}")
        _fsync_tree(staging)
        _replace(staging, destination, overwrite)
    finally:
        remove(staging)


def refuse_existing(destination: Path, overwrite: bool) -> None:
    """Raise RequestError if `destination` is there and may not be replaced. Ask before the work, not after it."""
    if not overwrite and (destination.exists() or destination.is_symlink()):
        raise RequestError(f"{destination} exists already", remedy="choose another place, or say --overwrite")


def make_folder(folder: Path) -> None:
    """Makes the folder and those above it. Raises RequestError where a file is in the way or writing is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"the folder {folder} cannot be made: {error.strerror}", remedy="choose another place to write to"
        ) from error
    if not os.access(folder, os.W_OK):
        raise RequestError(f"the folder {folder} may not be written to", remedy="choose another place to write to")


def publish_text(destination: Path, text: str, *, overwrite: bool = True) -> None:
    """Publish a small text file (UTF-8, newlines as given)."""
    with publishing(destination, overwrite=overwrite) as staging:
        staging.write_bytes(text.encode())


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(staging: Path, destination: Path, overwrite: bool) -> None:
    if destination.is_dir() and not destination.is_symlink():
        refuse_existing(destination, overwrite)
        aside = destination.parent / f".{destination.name}.replaced-{os.getpid()}"
        remove(aside)
        destination.rename(aside)
        staging.rename(destination)
        _fsync(destination.parent)
        remove(aside)
    else:
        refuse_existing(destination, overwrite)
        staging.replace(destination)
        _fsync(destination.parent)


def _fsync_tree(path: Path) -> None:
    if path.is_dir():
        for child in path.iterdir():
            _fsync_tree(child)
    _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
