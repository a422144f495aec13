"""Rows on disk: written once, read in order or by number. What is known of each, 26 bytes, is mapped into memory."""

from __future__ import annotations

import json
import os
import weakref
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np

from furrow.components.fingerprint import fingerprint, no_json
from furrow.components.records import Row
from furrow.components.stored.mapped import Mapped

ROWS, ENDS, PRINTS, SOURCES = "rows.jsonl", "row_ends.bin", "row_prints.bin", "row_sources.bin"
AT_ONCE = 1024
"""Rows that are fetched in one go where they are read in order."""
_SPARSE = 4
"""Rows that lie further apart than this many times their own length are fetched one by one."""
_BUFFER = 1 << 20
_PIECE = 1 << 16
"""Rows of which the figures are written, or compared, in one go."""
_MIX = np.uint64(0x9E3779B97F4A7C15)
"""Makes one number of the two of a print; they are a hash: two different ones give the same number once in 10 ** 8 sets
of a million rows."""
_WRITTEN = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


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
        return first_of_equal(self._folded(slice(None)))

    def are_in(self, others: Prints) -> np.ndarray:
        """Of each whether it is among the others too. Takes memory for these, and not for the others."""
        mine = self._folded(slice(None))
        known = np.unique(mine)
        met = np.zeros(len(known), dtype=bool)
        for start in range(0, len(others) if len(known) else 0, _PIECE):
            theirs = others._folded(slice(start, start + _PIECE))
            places = np.minimum(np.searchsorted(known, theirs), len(known) - 1)
            met[places[known[places] == theirs]] = True
        found: np.ndarray = met[np.searchsorted(known, mine)]
        return found

    def _folded(self, part: slice) -> np.ndarray:
        """One number of the two of each."""
        values: np.ndarray = self.array[part, 0] ^ self.array[part, 1] * _MIX
        return values


def first_of_equal(values: np.ndarray) -> np.ndarray:
    """For each of these numbers (uint64) the place of the first one that is equal: int64. Takes 24 bytes for each."""
    order = np.argsort(values, kind="stable")
    first = np.empty(len(values), dtype=np.int64)
    head, head_value = 0, None
    for start in range(0, len(order), _PIECE):
        places = order[start : start + _PIECE]
        sorted_ = values[places]
        begins = np.empty(len(places), dtype=bool)
        begins[0] = head_value is None or sorted_[0] != head_value
        np.not_equal(sorted_[1:], sorted_[:-1], out=begins[1:])
        heads = np.maximum.accumulate(np.where(begins, np.arange(len(places)), -1))
        first[places] = np.where(heads < 0, head, places[heads])
        head, head_value = int(first[places[-1]]), sorted_[-1]
    return first


class StoredRows(Sequence[Row]):
    """Rows of a RowWriter, all of them or some (`only`), in any order. Slices are such views too."""

    def __init__(self, file: _RowFile, numbers: np.ndarray | range) -> None:
        self._file = file
        self._numbers = numbers

    @classmethod
    def load(cls, folder: Path) -> StoredRows:
        """What `RowWriter.finish` left there."""
        file = _RowFile(folder)
        return cls(file, range(len(file.sources)))

    @property
    def numbers(self) -> np.ndarray:
        """Places in the file."""
        if not isinstance(self._numbers, range):
            return self._numbers
        kind = np.int32 if self._numbers.stop < 2**31 else np.int64
        return np.arange(self._numbers.start, self._numbers.stop, dtype=kind)

    @property
    def prints(self) -> Prints:
        return Prints(self._file.prints[self._index])

    @property
    def sources(self) -> np.ndarray:
        """Which set of a mix each comes from."""
        values: np.ndarray = self._file.sources[self._index]
        return values

    @property
    def _index(self) -> np.ndarray | slice:
        return slice(self._numbers.start, self._numbers.stop) if isinstance(self._numbers, range) else self._numbers

    def only(self, places: Iterable[int] | np.ndarray) -> StoredRows:
        """Those of its rows that stand at these places."""
        chosen = places if isinstance(places, np.ndarray) else np.fromiter(places, dtype=np.int64)
        return StoredRows(self._file, self.numbers[chosen])

    def give_back(self) -> None:
        """The memory that what is known of all rows of the file takes since it was looked at."""
        self._file.mapped.give_back()

    def __add__(self, others: StoredRows) -> StoredRows:
        """These, and behind them others of the same writer."""
        return StoredRows(self._file, np.concatenate([self.numbers, others.numbers]))

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> StoredRows: ...

    def __getitem__(self, place: int | slice) -> Row | StoredRows:
        if not isinstance(place, slice):
            return self._file.row(int(self._numbers[place]))
        if isinstance(self._numbers, range) and place.step in (None, 1):
            return StoredRows(self._file, self._numbers[place])
        return StoredRows(self._file, self.numbers[place])

    def __iter__(self) -> Iterator[Row]:
        for start in range(0, len(self), AT_ONCE):
            yield from self._file.rows(np.asarray(self._numbers[start : start + AT_ONCE]))


class RowWriter:
    """Appends rows to files in `folder`. What is written can be read at any time (`so_far`)."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._stream = (folder / ROWS).open("wb", buffering=_BUFFER)
        self._figures = [(folder / name).open("wb", buffering=_BUFFER) for name in (ENDS, PRINTS, SOURCES)]
        self._ends, self._prints, self._sources = array("Q"), bytearray(), array("H")  # those that are not written yet
        self._end = self._rows = 0
        self._read: StoredRows | None = None

    def append(self, row: Row, print_: bytes | None = None) -> int:
        """Its number. `print_`: where it is known already. Raises RequestError, with `file:line`, for a value that
        JSON does not have."""
        try:
            line = _WRITTEN([row.where, row.origin, row.columns])
        except (TypeError, ValueError) as error:
            raise no_json(row) from error
        self._end += self._stream.write(line.encode())
        self._ends.append(self._end)
        self._prints += fingerprint(row) if print_ is None else print_
        self._sources.append(row.source)
        self._rows += 1
        if len(self._ends) == _PIECE:
            self._write_figures()
        return self._rows - 1

    def so_far(self) -> StoredRows:
        """All rows up to now."""
        if self._read is None or len(self._read) < self._rows:
            self._stream.flush()
            self._write_figures()
            for file in self._figures:
                file.flush()
            self._read = StoredRows.load(self._folder)
        return self._read

    def regard_as_equal(self, these: np.ndarray, others: np.ndarray) -> None:
        """The rows of these numbers have the prints of the others from now on."""
        if self.so_far():
            prints = np.memmap(self._folder / PRINTS, dtype=np.uint64, mode="r+").reshape(-1, 2)
            prints[these] = prints[others]

    def finish(self) -> StoredRows:
        """All rows; `StoredRows.load` finds them again."""
        rows = self.so_far()
        self.close()
        return rows

    def close(self) -> None:
        """Gives up: what is written stays as it is."""
        for file in (self._stream, *self._figures):
            file.close()

    def _write_figures(self) -> None:
        waiting = (self._ends.tobytes(), bytes(self._prints), self._sources.tobytes())
        for file, figures in zip(self._figures, waiting, strict=True):
            file.write(figures)
        self._ends, self._prints, self._sources = array("Q"), bytearray(), array("H")


class _RowFile:
    """The file, and what is known of its rows without reading it."""

    def __init__(self, folder: Path) -> None:
        self.mapped = Mapped()
        self.ends = self.mapped.raw(folder / ENDS, np.uint64)
        self.prints = self.mapped.raw(folder / PRINTS, np.uint64).reshape(-1, 2)
        self.sources = self.mapped.raw(folder / SOURCES, np.uint16)
        self._descriptor = os.open(folder / ROWS, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)

    def row(self, number: int) -> Row:
        start, end = int(self.ends[number - 1]) if number else 0, int(self.ends[number])
        return self._decoded(os.pread(self._descriptor, end - start, start), number)

    def rows(self, numbers: np.ndarray) -> Iterator[Row]:
        starts, ends = np.where(numbers > 0, self.ends[numbers - 1], 0).tolist(), self.ends[numbers].tolist()
        first, last = min(starts), max(ends)
        if last - first > _SPARSE * sum(ends) - _SPARSE * sum(starts):
            yield from map(self.row, numbers.tolist())
            return
        whole = os.pread(self._descriptor, last - first, first)
        for number, start, end in zip(numbers.tolist(), starts, ends, strict=True):
            yield self._decoded(whole[start - first : end - first], number)

    def _decoded(self, line: bytes, number: int) -> Row:
        where, origin, columns = json.loads(line.decode())
        return Row(columns, where, int(self.sources[number]), origin, number)
