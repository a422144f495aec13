"""What models answered, kept on disk: who asks the same of the same model again gets the same answer, from here."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from furrow.components.disk.storage import storing
from furrow.components.errors import FurrowError
from furrow.stages.data.cache import cache_folder
from furrow.strategies.schema import DatasetConfig

FILE = "answers.sqlite"
_TABLE = "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer TEXT, cut INTEGER, sum BLOB) WITHOUT ROWID"
_WAIT = 60.0
"""Seconds to wait for another process that writes."""


def answers_folder(dataset: DatasetConfig) -> Path:
    """Where they lie: beside prepared data, but they are no part of what `cache_gb` bounds, since they cannot be had
    again for nothing."""
    return cache_folder(dataset.cache_dir) / "answers"


class Kept(NamedTuple):
    """An answer; `cut`: max_new_tokens ended it."""

    answer: str
    cut: bool


class KeptAnswers:
    """One file, written after each answer, so that a run that is stopped loses none. Several processes may share it."""

    def __init__(self, folder: Path, *, writing: bool = True) -> None:
        """The file is made when the first answer is kept; `writing`: whether any will be."""
        self.file = folder / FILE
        self._writing = writing
        self._connection: sqlite3.Connection | None = None

    def find(self, asked: Any) -> Kept | None:
        """What was answered. `asked`: everything that the answer hangs on, as JSON has it. None where nobody asked
        yet, and where what is kept was damaged since."""
        key = _key(asked)
        if self._connection is None and not self.file.exists():
            return None
        with self._opened() as database:
            found = database.execute("SELECT answer, cut, sum FROM answers WHERE key = ?", (key,)).fetchone()
        if found is None or found[2] != _sum(key, found[0], found[1]):
            return None
        return Kept(found[0], bool(found[1]))

    def keep(self, asked: Any, kept: Kept) -> Kept:
        """Keeps it, unless another process was faster: returned is what is kept from now on. Raises FurrowError where
        that cannot be done."""
        if (known := self.find(asked)) is not None:
            return known
        key, answer = _key(asked), kept.answer.encode(errors="replace").decode()  # SQLite takes no half characters
        row = (key, answer, int(kept.cut), _sum(key, answer, int(kept.cut)))
        with self._opened() as database:
            database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", row)
        return Kept(answer, kept.cut)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = self._connected()
            yield self._connection
        except sqlite3.Error as error:
            damaged = getattr(error, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB")
            raise FurrowError(
                f"the answers that are kept cannot be {'read' if damaged else 'written'}: {error}",
                where=str(self.file),
                remedy="move the file away: the model is asked again then" if damaged else "see that the disk takes it",
            ) from error

    def _connected(self) -> sqlite3.Connection:
        if not self._writing:
            return sqlite3.connect(f"{self.file.absolute().as_uri()}?mode=ro", timeout=_WAIT, uri=True)
        with storing(self.file):
            self.file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.file, timeout=_WAIT, isolation_level=None)
        connection.execute(_TABLE)
        return connection


def _key(asked: Any) -> bytes:
    return hashlib.sha256(json.dumps(asked, sort_keys=True, ensure_ascii=True).encode("ascii")).digest()


def _sum(key: bytes, answer: str, cut: int) -> bytes:
    return hashlib.blake2b(key + bytes([cut]) + answer.encode(), digest_size=8).digest()
