"""How checkpoints come and go, whichever fine-tuner saves them: each whole or absent, the newest few kept."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from pathlib import Path

from furrow.components.disk.checkpoint_folder import write_manifest
from furrow.components.disk.hashing import Hashing
from furrow.components.disk.publish import publishing
from furrow.components.disk.staging import discard, flush


@contextlib.contextmanager
def publishing_checkpoint(destination: Path, step: int, *, needed: int) -> Iterator[tuple[Path, Hashing]]:
    """A folder to write the checkpoint to, and who sums up its files beside the writing; those that it is not told of
    are read again. When the block ends well the manifest is written, and all of it gets its name.

    `needed`: bytes that will be written, for the error. Raises StorageError where the disk does not take it.
    """
    with publishing(destination, needed=needed) as staging, Hashing(staging) as hashing:
        yield staging, hashing
        flush(staging)  # the disk works while the sums are made
        write_manifest(staging, step, hashing.sums())


def remove_older(saved: list[Path], limit: int | None, *, but: Collection[Path] = ()) -> None:
    """Of `saved` (oldest first) the newest `limit` stay, all if None, and those of `but`; others go from there too."""
    for old in [] if limit is None else saved[:-limit]:
        if old not in but:
            with contextlib.suppress(OSError):  # no reason to end the run; the next time it is tried again
                discard(old)
                saved.remove(old)
