"""Prepared data kept on disk: found again by everything that it was made of, or made anew.

    FOLDER/rows/<key>/        an entry: what was made, its events, and SUMS.json, by which damage is noticed
    FOLDER/examples/<key>/

An entry gets its name when it is whole, and is looked through whenever it is taken, so that nothing need be flushed to
the disk: after a power cut it is right or made anew. Who uses one holds a lock on it; where they are too many, those
that nobody uses are removed, the one used longest ago first.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.disk.hashing import sha256_of, sums_of
from furrow.components.disk.rename import name_new
from furrow.components.disk.sizes import readable
from furrow.components.disk.staging import Staging, discard, sweep
from furrow.components.disk.storage import StorageError, bytes_of, storing
from furrow.components.events import Emit, Event, Noted, Progressed, TextsSent, json_line
from furrow.components.progress import counted
from furrow.stages.run.replay import replayed
from furrow.strategies.schema import DatasetConfig

LEVELS = ("rows", "examples")
SUMS, EVENTS = "SUMS.json", "events.jsonl"
GB = 10**9
Make = Callable[[Path, Emit], str | None]
"""Writes into a folder; returns why what is made must not be kept, where that is so."""


class Held:
    """An entry, or a folder of the same form that is nobody else's: it stays as long as this object, or its process."""

    def __init__(self, path: Path, let_go: Callable[[], object], *, found: bool) -> None:
        self.path = path
        self.found = found
        """Whether it was there already."""
        self._finalizer = weakref.finalize(self, let_go)

    def events(self) -> list[Event]:
        """What was said while it was made."""
        return replayed(self.path / EVENTS)

    @property
    def content(self) -> str:
        """A digest of all its files."""
        return sha256_of(self.path / SUMS)


@dataclass(frozen=True)
class Entry:
    """What there is to say of one."""

    level: str
    key: str
    path: Path
    bytes: int
    used: float
    """When, in seconds since 1970."""
    of: str
    """What it was made of, for a person."""


class Cache:
    """Entries in `folder`, of at most `limit` bytes together. Without a folder nothing is kept."""

    def __init__(self, folder: Path | None, limit: int) -> None:
        self.folder, self._limit = folder, limit

    @classmethod
    def of(cls, dataset: DatasetConfig) -> Cache:
        """As the strategy says."""
        limit = int(dataset.cache_gb * GB)
        return cls(cache_folder(dataset.cache_dir) if limit else None, limit)

    def provide(self, level: str, key: str | None, of: str, make: Make, emit: Emit) -> Held:
        """The entry of this key, or else what `make(folder, emit)` writes into a new folder; None as a key fits no
        entry, and what is made is kept for nobody.

        What is said while it is made is said again where it is found. Raises what `make` raises, and StorageError where
        no disk takes it.
        """
        telling = _Telling(emit)
        if self.folder is not None and key is not None:
            try:
                if held := self._found(level, key, emit):
                    for event in held.events():
                        emit(event)
                    return held
                return self._made(level, key, of, make, telling)
            except StorageError as error:
                emit(Noted(message=f"prepared data is not kept: {error}"))
                telling.begin_again()
        return self._temporary(level, make, telling)

    def entries(self) -> list[Entry]:
        """All of them, the one used last first."""
        found = []
        for level in LEVELS if self.folder is not None else ():
            assert self.folder is not None
            for path in _entries_in(self.folder / level):
                with contextlib.suppress(OSError):
                    known, at = _sums(path), path.stat().st_mtime
                    size = sum(size for size, _ in known["files"].values()) if known else bytes_of(path)
                    found.append(Entry(level, path.name, path, size, at, str(known["of"]) if known else "damaged"))
        return sorted(found, key=lambda entry: -entry.used)

    def clear(self) -> tuple[list[Entry], list[Entry]]:
        """Removes all that nobody uses: (what was removed, what stays)."""
        entries = self.entries()
        gone = [entry for entry in entries if _remove_unused(entry.path)]
        for level in LEVELS if self.folder is not None else ():
            assert self.folder is not None
            sweep(self.folder / level)
        return gone, [entry for entry in entries if entry not in gone]

    def _found(self, level: str, key: str, emit: Emit) -> Held | None:
        assert self.folder is not None
        path = self.folder / level / key
        with storing(path):
            lock = _locked(path)
        if lock is None:
            return None
        if damage := _damage(path, emit):
            os.close(lock)
            emit(Noted(message=f"prepared data in {path} is damaged ({damage}): it is made anew"))
            with storing(path):
                discard(path)
            return None
        with contextlib.suppress(OSError):  # of a folder that may only be read
            os.utime(path)
        return Held(path, lambda: os.close(lock), found=True)

    def _made(self, level: str, key: str, of: str, make: Make, telling: _Telling) -> Held:
        assert self.folder is not None
        parent = self.folder / level
        staging = _staging(parent, key)
        place = staging.place(key)
        try:
            with storing(place):
                reason = _fill(place, make, telling, of) or self._too_large(place)
            if reason:
                telling.emit(Noted(message=f"prepared data is not kept: {reason}"))
                return Held(place, staging.close, found=False)
            lock = _locked(place)
            try:
                with storing(place):
                    name_new(place, parent / key)
            except FileExistsError:  # another process was quicker; what was made here is as good
                if lock is not None:
                    os.close(lock)
                return Held(place, staging.close, found=False)
        except BaseException:
            staging.close()
            raise
        staging.close()
        self._make_room()
        return Held(parent / key, (lambda: None) if lock is None else lambda: os.close(lock), found=False)

    def _too_large(self, place: Path) -> str | None:
        size = bytes_of(place)
        if size <= self._limit:
            return None
        return f"it takes {readable(size)}, and dataset.cache_gb allows {readable(self._limit)}"

    def _temporary(self, level: str, make: Make, telling: _Telling) -> Held:
        staging = _staging(Path(tempfile.gettempdir()), f"furrow-{level}")
        place = staging.place(level)
        try:
            with storing(place):
                _fill(place, make, telling, "")
        except BaseException:
            staging.close()
            raise
        return Held(place, staging.close, found=False)

    def _make_room(self) -> None:
        """Removes entries that nobody uses until the others keep to the limit."""
        entries = self.entries()
        total = sum(entry.bytes for entry in entries)
        for entry in reversed(entries):
            if total > self._limit and _remove_unused(entry.path):
                total -= entry.bytes


class _Telling:
    """Says what happens, and notes it. What was said before a second attempt is not said once more in it."""

    def __init__(self, emit: Emit) -> None:
        self.emit = emit
        self.said: list[Event] = []
        self._before: list[Event] = []

    def begin_again(self) -> None:
        self._before, self.said = self.said, []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed | TextsSent):
            self.emit(event)
            return
        self.said.append(event)
        if self._before and self._before[0] == event:
            self._before.pop(0)
        else:
            self.emit(event)


def cache_folder(asked: str | None = None) -> Path:
    """Where prepared data is kept: what the strategy says, or `furrow` in the user's cache folder."""
    if asked is not None:
        return Path(asked).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "furrow"


def _staging(parent: Path, name: str) -> Staging:
    """Raises StorageError where nothing can be made there."""
    try:
        with storing(parent):
            parent.mkdir(parents=True, exist_ok=True)
            sweep(parent)
            return Staging(parent, name)
    except OSError as error:  # a file in the way
        raise StorageError(f"the folder cannot be made: {error.strerror}", where=str(parent)) from error


def _fill(place: Path, make: Make, telling: _Telling, of: str) -> str | None:
    place.mkdir(mode=0o700)  # rows may be nobody else's business, and the folder above is often open to all
    reason = make(place, telling)
    (place / EVENTS).write_text("".join(f"{json_line(event)}\n" for event in telling.said), encoding="utf-8")
    files = _files_in(place)
    sums = zip(files, sums_of(files), strict=True)
    known = {file.relative_to(place).as_posix(): [file.stat().st_size, digest] for file, digest in sums}
    (place / SUMS).write_text(json.dumps({"of": of, "files": known}), encoding="utf-8")
    return reason


def _damage(path: Path, emit: Emit) -> str | None:
    """What is wrong with an entry; None where it is as it was written."""
    try:
        if (known := _sums(path)) is None:
            return f"{SUMS} cannot be read"
        sizes = {name: (path / name).stat().st_size for name in known["files"]}
        for name, (size, _) in known["files"].items():
            if sizes[name] != size:
                return f"{name} has {sizes[name]:,} bytes of {size:,}"
        sums = counted(sums_of(path / name for name in sizes), emit, "checking the prepared data (files)", len(sizes))
        for name, digest in zip(sizes, sums, strict=True):
            if digest != known["files"][name][1]:
                return f"the content of {name} is another one"
    except (OSError, TypeError, ValueError) as error:
        return str(error)
    return None


def _sums(path: Path) -> dict[str, Any] | None:
    try:
        match json.loads((path / SUMS).read_text(encoding="utf-8")):
            case {"of": str(), "files": dict()} as known:
                return known
    except (OSError, ValueError):
        pass
    return None


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entries_in(folder: Path) -> list[Path]:
    """Folders with SUMS: cache_dir may name a place in which others keep folders too, and those are never removed."""
    try:
        return [path for path in folder.iterdir() if (path / SUMS).is_file() and not path.name.startswith(".")]
    except OSError:
        return []


def _locked(path: Path) -> int | None:
    """A lock on the folder, shared with all who use it; None where it is not there, or on its way out. A file system
    without locks has none to give: there, entries are never removed."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    except OSError:
        return lock
    if _is_still(path, lock):
        return lock
    os.close(lock)
    return None


def _remove_unused(path: Path) -> bool:
    """Removes it unless somebody uses it; says whether it is gone."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(path, lock):
            discard(path)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True


def _is_still(path: Path, lock: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(lock))
    except FileNotFoundError:
        return False
