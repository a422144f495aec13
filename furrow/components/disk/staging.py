"""Hidden folders in which something is made: they belong to a living process, and what a dead one left is swept.

    .NAME.partial-PID-xxxxxxxx/    locked (flock) as long as its process lives
        new/NAME                   what is being written
        old/NAME                   what it replaces, where the system cannot exchange two folders in one call
        DECIDED                    all of new/ is whole on disk: whoever finds it finishes the renaming
    .NAME.removed-PID-xxxxxxxx     on its way out

A lock says who lives and a process id does not: ids come again, and in a container they name somebody else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from furrow.components.disk.rename import NotOffered, name_new, name_over

_LEFT = re.compile(r"\..+\.(partial|removed)-\d+-\w+", re.DOTALL)
_DECIDED = "DECIDED"
_MOST_OF_A_NAME = 200
"""Bytes of a name that the hidden one repeats: with what is added it stays below the 255 of a file system."""


class Staging:
    """One such folder: `place(name)` is where to write, `publish` names all that is there, `close` removes the rest."""

    def __init__(self, parent: Path, name: str) -> None:
        self._parent, self._unfinished = parent, False
        self.folder, self._lock = _locked_folder(parent, name)
        try:
            self._new.mkdir()
        except OSError:
            self.close()
            raise

    @property
    def _new(self) -> Path:
        return self.folder / "new"

    def place(self, name: str) -> Path:
        return self._new / name

    def publish(self, overwrite: bool) -> None:
        """Everything in it is renamed to its place beside this folder: all or, after a kill and a sweep, all or none.

        Raises FileExistsError where something has that name and `overwrite` is false.
        """
        flush(self._new)
        names = [path.name for path in sorted(self._new.iterdir())]
        if len(names) == 1:
            source, destination = self._new / names[0], self._parent / names[0]
            with contextlib.suppress(NotOffered):
                name_over(source, destination) if overwrite else name_new(source, destination)
                flush_one(self._parent)
                return
        elif not overwrite:
            for name in names:
                if os.path.lexists(self._parent / name):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self._parent / name))
        (self.folder / _DECIDED).touch()
        flush(self.folder)
        self._unfinished = True
        _carry_out(self.folder)
        self._unfinished = False

    def close(self) -> None:
        """Removes what is left, also on a disk that is failing: what stays then is swept by somebody later."""
        if not self._unfinished:  # else half of it has its name, and the next sweep does the rest
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)


@contextlib.contextmanager
def scratch(parent: Path, name: str) -> Iterator[Path]:
    """A hidden folder to work in, gone when the block ends; one of a process that was killed is swept."""
    staging = Staging(parent, name)
    try:
        yield staging.folder
    finally:
        staging.close()


def sweep(folder: Path) -> None:
    """Finishes or removes what processes that are dead now left in `folder`. Leaves alone what a living one works on.

    Best effort: a folder that cannot be read or written to is left as it is.
    """
    try:
        with os.scandir(folder) as entries:
            left = [(Path(entry), match[1]) for entry in entries if (match := _LEFT.fullmatch(entry.name))]
    except OSError:
        return
    for path, kind in left:
        with contextlib.suppress(OSError):
            if kind == "removed":
                remove(path)
            elif path.is_dir() and not path.is_symlink():
                _sweep_one(path)


def discard(path: Path) -> None:
    """Removes a file or folder so that at no moment half of it has its name."""
    if not os.path.lexists(path):
        return
    aside = path.with_name(f".{_short(path.name)}.removed-{os.getpid()}-{secrets.token_hex(4)}")
    path.rename(aside)
    remove(aside)


def remove(path: Path) -> None:
    """Remove a file or a folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def flush(path: Path) -> None:
    """Everything at and under `path` is on the disk itself when this returns."""
    if path.is_dir() and not path.is_symlink():
        for child in path.iterdir():
            flush(child)
    if not path.is_symlink():
        flush_one(path)


def flush_one(path: Path) -> None:
    """A file, or the names in a folder (some network file systems have no such call for folders: EINVAL)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _locked_folder(parent: Path, name: str) -> tuple[Path, int | None]:
    """A new folder and its lock; no lock (and no sweeping) where the file system has none."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{_short(name)}.partial-{os.getpid()}-", dir=parent))
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            os.close(lock)
            return folder, None
        if _is_still(folder, lock):  # else somebody swept it before it was locked
            return folder, lock
        os.close(lock)


def _sweep_one(folder: Path) -> None:
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where its process lives
        if _is_still(folder, lock):
            if (folder / _DECIDED).exists():
                _carry_out(folder)
            shutil.rmtree(folder)
    finally:
        os.close(lock)


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _carry_out(folder: Path) -> None:
    """Renames what was decided on. Can be killed and begun again at any point: what is done already is not in new/.

    Of several files the first takes its place when the older ones of the others are gone: at no moment do files of two
    makings lie side by side.
    """
    new = folder / "new"
    sources = sorted(new.iterdir()) if new.exists() else []  # it goes first where a folder that is done with is removed
    for source in reversed(sources):
        destination = folder.parent / source.name
        a_folder = destination.is_dir() and not destination.is_symlink()
        if a_folder or (os.path.lexists(destination) and (source != sources[0] or source.is_dir())):
            (folder / "old").mkdir(exist_ok=True)
            remove(folder / "old" / source.name)
            destination.rename(folder / "old" / source.name)
    for source in sources:
        source.replace(folder.parent / source.name)
    flush_one(folder.parent)


def _short(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:_MOST_OF_A_NAME])
