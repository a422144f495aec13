"""One process at a time: a lock on a file, which the system releases when its holder ends, however it ends.

Among processes of one machine that holds on every local file system. Among machines that share a folder it holds where
the file system carries locks from one to the other: NFS does, from Linux 2.6.12 on; Lustre where it is mounted with
`flock`. Where a file system says that it has no locks, the run is told so and goes on.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from furrow.components.disk.publish import make_folder
from furrow.components.disk.storage import FULL, storing
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Warned
from furrow.stages.run.clock import now

LOCK = ".lock"
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LONGEST = 400
"""Characters that are read of a holder's text, which is one line."""
_WRITING_SECONDS = 0.5
"""How long somebody who has the lock already may take to write who he is."""
_ATTEMPTS = 1000
"""To open a file in a folder that others make and remove meanwhile."""
_held: set[int] = set()
"""Descriptors of the locks of this process."""


@contextlib.contextmanager
def locked(folder: Path, emit: Emit) -> Iterator[None]:
    """Owns the folder, which is made where it is not there, for the length of the block; afterwards there is no trace.

    Raises RequestError that names the holder (its process, its machine, since when), or a folder that cannot be made.
    """
    made, lock = not folder.exists(), folder / LOCK
    descriptor = _taken(folder, lock, emit)
    _held.add(descriptor)
    try:
        with contextlib.suppress(OSError):  # a full disk: whoever comes too late hears of "another process"
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()} since {now()}\n".encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):  # while it is still held: nobody else's file can have this name
            lock.unlink(missing_ok=True)
        if made:
            with contextlib.suppress(OSError):  # not empty: something was made, or somebody is there already
                folder.rmdir()
        _held.discard(descriptor)
        os.close(descriptor)


def _taken(folder: Path, lock: Path, emit: Emit) -> int:
    """A descriptor that holds the lock on the file that has the name `lock`."""
    while True:
        descriptor = _opened(folder, lock)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise RequestError(
                f"{folder} is in use by {holder}", remedy="wait for it, or choose another --output-dir"
            ) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            _warn(folder, emit)
            return descriptor
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), lock.lstat()):
                _let_go_in_children()
                return descriptor
        os.close(descriptor)  # its holder removed the file after we had opened it: there may be a new one


def _opened(folder: Path, lock: Path) -> int:
    """The file, in a folder that is made where it is not there. Whoever made it may remove it at any moment."""
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Never through a link: somebody else's file would be emptied.
            return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            if not attempts_left:
                raise
        except OSError as error:
            if isinstance(error, FileExistsError) and attempts_left and not os.path.lexists(folder):
                continue  # it was there when mkdir looked, and gone when pathlib asked whether it is a folder
            if error.errno == errno.ELOOP:
                raise RequestError(f"{lock} is a link, and no lock of ours", remedy="remove it") from error
            if error.errno in FULL:
                with storing(lock, needed=_LONGEST):
                    raise
            make_folder(folder)  # says what is wrong with it
            raise
    raise AssertionError("the last attempt raises")


def _holder(descriptor: int) -> str:
    """What the holder wrote of himself, whole or not at all."""
    patience = time.monotonic() + _WRITING_SECONDS
    while True:
        text = os.pread(descriptor, _LONGEST, 0).decode(errors="replace")
        if text.endswith("\n"):
            return text.strip()
        if time.monotonic() > patience:
            return "another process"
        time.sleep(0.01)


def _warn(folder: Path, emit: Emit) -> None:
    emit(
        Warned(
            message=f"the file system of {folder} has no locks: a second run into it would not be noticed",
            remedy="see to it that there is one only, or choose an --output-dir on another file system",
        )
    )


@functools.cache  # once for all locks
def _let_go_in_children() -> None:
    """A fork has its parent's descriptors, and would keep the lock beyond its parent's end."""
    os.register_at_fork(after_in_child=_close_all)


def _close_all() -> None:
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()
