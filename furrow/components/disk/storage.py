"""When a disk does not take what is written: one error that names the place, what was needed and what is free."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from furrow.components.disk.sizes import readable
from furrow.components.errors import FurrowError

CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EIO: "the device reports an input/output error",
    errno.EACCES: "writing is not allowed there",
    errno.EPERM: "writing is not allowed there",
    errno.EFBIG: "the file would be larger than is allowed there",
    errno.ENODEV: "the device is gone",
    errno.ENXIO: "the device is gone",
    errno.ESTALE: "the network file system has lost the folder",
    errno.ETIMEDOUT: "the network file system does not answer",
}
"""What a disk may say, by the number of its error. All of them may pass: somebody makes room, a mount comes back."""
FULL = (errno.ENOSPC, errno.EDQUOT)
_NOTHING = 1 << 20
"""Bytes that are left on a disk that is full: nobody can use the last few."""
_FOREIGN = re.compile(r"\(os error (\d+)\)")
"""How safetensors and tokenizers, which are written in Rust, end the text of an error that is no OSError in Python."""
_SHORT_WRITE = re.compile(r"\b(\d+) requested and (\d+) written")
"""numpy's tofile, an OSError without a number: most often of a full disk."""
_TORCH_WRITER = "inline_container.cc"
"""torch.save says of a full disk only that it is somewhere else in the file than it thought."""


class StorageError(FurrowError):
    """Something could not be written; what lay there before is as it was. Trying again later may help."""


@contextlib.contextmanager
def storing(path: Path, needed: int | None = None) -> Iterator[None]:
    """What the disk refuses in this block is raised as StorageError about `path`; `needed` is in bytes."""
    try:
        yield
    except Exception as error:
        refused = refusal(error, path, needed)
        if refused is None:
            raise
        raise refused from error


def refusal(error: Exception, path: Path, needed: int | None = None, written: int | None = None) -> StorageError | None:
    """The StorageError for what was raised while `path` was written; None where it says nothing of the disk.

    `written` is how many bytes had been taken already. An error about a file elsewhere (one that was read) is not it.
    """
    number = _number_of(error)
    if number is None or _is_elsewhere(error, path):
        return None
    parts = [] if needed is None else [f"needed: {readable(needed)}"]
    if written and needed is None:
        parts.append(f"needed: more than the {readable(written)} that were written")
    parts.append(_free(path))
    remedy = "free some space there, or write to another disk" if number in FULL else "mend that, or write elsewhere"
    return StorageError(f"{CAUSES[number]} ({'; '.join(parts)})", where=f"cannot write {path}", remedy=remedy)


def free_bytes(path: Path) -> int:
    """What this process may still write where `path` is or would be; 0 where nobody can tell."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(_nearest(path)).free
    return 0


def blame_full_disk(path: Path) -> None:
    """Raises OSError (ENOSPC) where nothing is free: for what other programs report as a failure without a reason."""
    if free_bytes(path) < _NOTHING:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def bytes_of(path: Path) -> int:
    """Size of a file, or of all files in a folder; 0 where there is none."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _number_of(error: Exception) -> int | None:
    if isinstance(error, OSError):
        if error.errno is None and _SHORT_WRITE.search(str(error)):
            return errno.ENOSPC
        number = error.errno
    elif found := _FOREIGN.search(str(error)):
        number = int(found[1])
    else:
        number = errno.ENOSPC if isinstance(error, RuntimeError) and _TORCH_WRITER in str(error) else None
    return number if number in CAUSES else None


def _is_elsewhere(error: Exception, path: Path) -> bool:
    named = getattr(error, "filename", None)
    if not isinstance(named, str | os.PathLike):
        return False
    return path.absolute().parent not in (Path(named).absolute(), *Path(named).absolute().parents)


def _free(path: Path) -> str:
    try:
        there = os.statvfs(_nearest(path))
    except OSError:
        return "free: unknown"
    if there.f_files and not there.f_favail:
        return f"free: {readable(there.f_bavail * there.f_frsize)}, but no room for another file (inodes)"
    return f"free: {readable(there.f_bavail * there.f_frsize)}"


def _nearest(path: Path) -> Path:
    """The folder that is there, of those that lead to it."""
    return next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
