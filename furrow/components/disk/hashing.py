"""Sums of files: of one that lies there, and of those being written, beside the writing (hashlib lets threads run)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from furrow.components.disk.staging import flush_one
from furrow.components.events import Emit
from furrow.components.progress import counted

_PIECE = 1 << 20
_THREADS = 4
"""Files at once. A core hashes some 1.7 GB/s where it has instructions for SHA, and 0.4 where it has not."""


def sha256_of(path: Path, emit: Emit = lambda event: None) -> str:
    """Hex sha256 of a file, read in 1 MiB pieces, with progress by the MiB where it takes long."""
    digest, size = hashlib.sha256(), path.stat().st_size
    for piece in counted(_pieces(path), emit, f"hashing {path.name} (MiB)", -(-size // _PIECE)):
        digest.update(piece)
    return digest.hexdigest()


def _pieces(path: Path) -> Iterator[memoryview]:
    """Each is overwritten by the next."""
    piece = memoryview(bytearray(_PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(piece):
            yield piece[:count]


def sums_of(files: Iterable[Path]) -> Iterator[str]:
    """The same of several, some of them at once: a checkpoint has two or three large ones."""
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(sha256_of, files)


class Hashing:
    """The sums of the files of one folder. A context: when the block ends, no thread of it is left."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._threads = folder, ThreadPoolExecutor(_THREADS)
        self._sums: dict[str, Future[tuple[str, int]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(cancel_futures=True)

    def written(self, *paths: Path) -> None:
        """These files are finished: they are read back, and brought to the disk itself."""
        for path in paths:
            self._sums[self._name(path)] = self._threads.submit(_sum_of_file, path)

    def writing(self, path: Path, pieces: Iterable[bytes | memoryview]) -> None:
        """This is what the file will be, whoever writes it, and however long that takes."""
        self._sums[self._name(path)] = self._threads.submit(_sum_of_pieces, pieces)

    def sums(self) -> dict[str, tuple[str, int]]:
        """Path in the folder -> (sha256, bytes), when all of them are known."""
        return {name: future.result() for name, future in self._sums.items()}

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _sum_of_file(path: Path) -> tuple[str, int]:
    digest = sha256_of(path)
    flush_one(path)
    return digest, path.stat().st_size


def _sum_of_pieces(pieces: Iterable[bytes | memoryview]) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size
