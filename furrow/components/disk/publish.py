"""Write beside, fsync, rename: whatever is published is whole or absent, also after `kill -9`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from furrow.components.disk.staging import Staging, sweep
from furrow.components.disk.storage import bytes_of, refusal
from furrow.components.errors import RequestError
from furrow.components.secrets import scrubbed


@contextlib.contextmanager
def publishing(destination: Path, *, overwrite: bool = False, needed: int | None = None) -> Iterator[Path]:
    """A path to write a file or a folder to; it is renamed to `destination` when the block ends well.

    When the block raises, what was written is removed and `destination` is as it was; after `kill -9` the next who
    publishes into that folder, or calls `sweep`, tidies up. A folder is replaced in one moment. `needed` is how many
    bytes will be written, for the error.
    Raises RequestError if `destination` exists and `overwrite` is false, StorageError if the disk does not take it.
    """
    with publishing_together([destination], overwrite=overwrite, needed=needed) as (staging,):
        yield staging


@contextlib.contextmanager
def publishing_together(
    destinations: Sequence[Path], *, overwrite: bool = False, needed: int | None = None
) -> Iterator[list[Path]]:
    """The same for several files of one folder: all get their names or, after a kill and the next sweep, all or none.

    What is not written in the block is left as it is; nothing written at all is a mistake of the program.
    """
    first, folder = Path(destinations[0]), Path(destinations[0]).parent
    if any(Path(destination).parent != folder for destination in destinations):
        raise ValueError(f"not of one folder: {destinations}")
    for destination in destinations:
        refuse_existing(destination, overwrite)
    staging, made = None, _missing(folder)
    try:
        _make(folder)
        staging = Staging(folder, first.name)
        places = [staging.place(Path(destination).name) for destination in destinations]
        yield places
        if not any(os.path.lexists(place) for place in places):
            raise RuntimeError(f"nothing was written to {places[0]}")
        _name(staging, overwrite)
    except Exception as error:
        written = None if staging is None else bytes_of(staging.folder)
        refused = refusal(error, first, needed, written)
        if refused is None:
            raise
        raise refused from error
    finally:
        if staging is not None:
            staging.close()
        for empty in made:  # only where nothing was published does one of them have nothing in it
            with contextlib.suppress(OSError):
                empty.rmdir()


def refuse_existing(destination: Path, overwrite: bool) -> None:
    """Raise RequestError if `destination` is there and may not be replaced. Ask before the work, not after it.

    What somebody who was killed had begun to publish beside it is finished or removed first.
    """
    sweep(Path(destination).parent)
    if not overwrite and os.path.lexists(destination):
        raise RequestError(f"{destination} exists already", remedy="choose another place, or say --overwrite")


def make_folder(folder: Path) -> None:
    """Makes the folder and those above it. Raises RequestError where a file is in the way or writing is not allowed."""
    try:
        _make(folder)
    except OSError as error:
        raise RequestError(
            f"the folder {folder} cannot be made: {error.strerror}", remedy="choose another place to write to"
        ) from error
    if not os.access(folder, os.W_OK):
        raise RequestError(f"the folder {folder} may not be written to", remedy="choose another place to write to")


def publish_text(destination: Path, text: str, *, overwrite: bool = True) -> None:
    """Publish a small text file (UTF-8, newlines as given); a secret in it is hidden."""
    text = scrubbed(text)
    with publishing(destination, overwrite=overwrite, needed=len(text.encode())) as staging:
        staging.write_bytes(text.encode())


def _missing(folder: Path) -> list[Path]:
    """Of the folder and those above it, the ones that are not there; the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _name(staging: Staging, overwrite: bool) -> None:
    try:
        staging.publish(overwrite)
    except FileExistsError as error:  # somebody was quicker
        refuse_existing(Path(error.filename2 or error.filename), overwrite)
        raise


def _make(folder: Path) -> None:
    """Raises OSError, or RequestError where a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise RequestError(
            f"the folder {folder} cannot be made: {error.strerror}", remedy="choose another place to write to"
        ) from error
