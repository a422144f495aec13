"""Rows on disk: written once, read in order or by number, in 26 bytes of memory each."""

from __future__ import annotations

import json
import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from furrow.components.errors import RequestError
from furrow.components.fingerprint import fingerprint
from furrow.components.messages import json_kind
from furrow.components.records import Row

ROWS, OFFSETS, PRINTS, SOURCES = "rows.jsonl", "row_offsets.npy", "row_prints.npy", "row_sources.npy"
AT_ONCE = 1024
"""Rows that are fetched in one go where they are read in order."""
_SPARSE = 4
"""Rows that lie further apart than this many times their own length are fetched one by one."""
_BUFFER = 1 << 20


class Prints(Sequence[bytes]):
    """What each row says, as 16 bytes: equal for rows that are equal (`components.fingerprint`)."""

    def __init__(self, values: np.ndarray) -> None:
        self.array = values
        """[rows, 2] of uint64."""

    def __len__(self) -> int:
        return len(self.array)

    @overload
    def __getitem__(self, place: int) -> bytes: ...

    @overload
    def __getitem__(self, place: slice) -> Prints: ...

    def __getitem__(self, place: int | slice) -> bytes | Prints:
        return Prints(self.array[place]) if isinstance(place, slice) else self.array[place].tobytes()

    def __iter__(self) -> Iterator[bytes]:
        whole = self.array.tobytes()
        return (whole[start : start + 16] for start in range(0, len(whole), 16))

    def first_of_each(self) -> np.ndarray:
        """For each row the place of the first one with its print."""
        joined = np.ascontiguousarray(self.array).view("V16").ravel()
        _, first, inverse = np.unique(joined, return_index=True, return_inverse=True)
        places: np.ndarray = first[inverse]
        return places


class StoredRows(Sequence[Row]):
    """Rows of a RowWriter, all of them or some (`only`), in any order. Slices are such views too."""

    def __init__(self, file: _RowFile, numbers: np.ndarray) -> None:
        self._file = file
        self.numbers = numbers
        """Places in the file."""

    @classmethod
    def load(cls, folder: Path) -> StoredRows:
        """What `RowWriter.finish` left there."""
        offsets, prints, sources = (np.load(folder / name, allow_pickle=False) for name in (OFFSETS, PRINTS, SOURCES))
        return cls(_RowFile(folder / ROWS, offsets, prints, sources), np.arange(len(sources)))

    @property
    def prints(self) -> Prints:
        return Prints(self._file.prints[self.numbers])

    @property
    def sources(self) -> np.ndarray:
        """Which set of a mix each comes from."""
        values: np.ndarray = self._file.sources[self.numbers]
        return values

    def only(self, places: Iterable[int] | np.ndarray) -> StoredRows:
        """Those of its rows that stand at these places."""
        chosen = places if isinstance(places, np.ndarray) else np.fromiter(places, dtype=np.int64)
        return StoredRows(self._file, self.numbers[chosen])

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> StoredRows: ...

    def __getitem__(self, place: int | slice) -> Row | StoredRows:
        if isinstance(place, slice):
            return StoredRows(self._file, self.numbers[place])
        return self._file.row(int(self.numbers[place]))

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self.numbers), AT_ONCE):
            yield from self._file.rows(self.numbers[start : start + AT_ONCE])


class RowWriter:
    """Appends rows to a file in `folder`. What is written can be read at any time (`so_far`)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._stream = (folder / ROWS).open("wb", buffering=_BUFFER)
        self._offsets = array("Q", [0])
        self._prints = bytearray()
        self._sources = array("H")

    def append(self, row: Row, print_: bytes | None = None) -> int:
        """Its number. `print_`: where it is known already. Raises RequestError, with `file:line`, for a value that
        JSON does not have."""
        try:
            line = json.dumps([row.where, row.origin, row.columns], ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise _no_json(row) from error
        written = self._stream.write(line.encode())
        self._offsets.append(self._offsets[-1] + written)
        self._prints += fingerprint(row) if print_ is None else print_
        self._sources.append(row.source)
        return len(self._sources) - 1

    def so_far(self) -> StoredRows:
        """All rows up to now."""
        self._stream.flush()
        offsets = np.array(self._offsets, dtype=np.uint64)
        prints = np.frombuffer(bytes(self._prints), dtype=np.uint64).reshape(-1, 2).copy()
        sources = np.array(self._sources, dtype=np.uint16)
        return StoredRows(_RowFile(self._folder / ROWS, offsets, prints, sources), np.arange(len(sources)))

    def finish(self) -> StoredRows:
        """All rows; `StoredRows.load` finds them again."""
        rows = self.so_far()
        self._stream.close()
        for name, values in ((OFFSETS, rows._file.offsets), (PRINTS, rows._file.prints), (SOURCES, rows._file.sources)):
            np.save(self._folder / name, values, allow_pickle=False)
        return rows

    def close(self) -> None:
        """Gives up: what is written stays as it is."""
        self._stream.close()


class _RowFile:
    """The file and what is known of its rows without reading it."""

    def __init__(self, path: Path, offsets: np.ndarray, prints: np.ndarray, sources: np.ndarray) -> None:
        self.offsets, self.prints, self.sources = offsets, prints, sources
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def row(self, number: int) -> Row:
        start, end = int(self.offsets[number]), int(self.offsets[number + 1])
        return self._decoded(os.pread(self._descriptor, end - start, start), number)

    def rows(self, numbers: np.ndarray) -> Iterator[Row]:
        starts, ends = self.offsets[numbers].tolist(), self.offsets[numbers + 1].tolist()
        first, last = min(starts), max(ends)
        if last - first > _SPARSE * sum(ends) - _SPARSE * sum(starts):
            yield from map(self.row, numbers.tolist())
            return
        whole = os.pread(self._descriptor, last - first, first)
        for number, start, end in zip(numbers.tolist(), starts, ends, strict=True):
            yield self._decoded(whole[start - first : end - first], number)

    def _decoded(self, line: bytes, number: int) -> Row:
        where, origin, columns = json.loads(line)
        return Row(columns, where, int(self.sources[number]), origin, number)


def _no_json(row: Row) -> RequestError:
    def fits(value: Any) -> bool:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            return False
        return True

    name, value = next((name, value) for name, value in row.columns.items() if not fits(value))
    return RequestError(
        f"column {name!r} is {json_kind(value)}, which JSON does not have",
        where=row.where,
        remedy="the reader must give text, numbers, true or false, null, lists and objects",
    )
