"""Giving a finished file or folder its name, in one call of the system where that has one."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from pathlib import Path
from typing import Any

_NO_REPLACE, _EXCHANGE = 1, 2  # linux/fs.h
_HERE = -100  # AT_FDCWD: relative paths begin at the working directory
_NOT_OFFERED = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
"""What a file system (NFS, some FUSE ones) or an old kernel says to the flags."""


class NotOffered(OSError):
    """This system cannot do it in one call."""


def name_new(source: Path, destination: Path) -> None:
    """Renames, unless something has that name: FileExistsError. Where the system cannot tell in one call, nearly so."""
    try:
        _renameat2(source, destination, _NO_REPLACE)
    except NotOffered:
        if os.path.lexists(destination):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination)) from None
        source.rename(destination)


def name_over(source: Path, destination: Path) -> None:
    """Renames; what had that name before is gone, or lies at `source` now. At no moment does nothing have it.

    Raises NotOffered where that is a folder and the system cannot exchange two.
    """
    there = os.path.lexists(destination)
    if not there or not (_is_folder(source) or _is_folder(destination)):
        source.replace(destination)
    else:
        _renameat2(source, destination, _EXCHANGE)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


@cache
def _function() -> Any:
    """glibc's renameat2 (2.28 and later); None elsewhere."""
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


def _renameat2(source: Path, destination: Path, flags: int) -> None:
    function = _function()
    if function is None:
        raise NotOffered(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(_HERE, os.fsencode(source), _HERE, os.fsencode(destination), ctypes.c_uint(flags)) == 0:
        return
    number = ctypes.get_errno()
    if number in _NOT_OFFERED:
        raise NotOffered(number, os.strerror(number))
    raise OSError(number, os.strerror(number), str(source), None, str(destination))
