"""Where many rows stand, in twelve bytes each: a data set of millions may have one fault in most of its rows."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np

_NO_LINE = -1


class Places(Sequence[str]):
    """The `file:line` of rows, in the order in which they were added."""

    def __init__(self, places: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        self._files: list[str] = []
        self._file = array("I")
        self._line = array("q")
        for place in places:
            self.add(place)

    def add(self, place: str) -> None:
        name, _, line = place.rpartition(":")
        if line.isascii() and line.isdigit() and str(int(line[:18])) == line:
            self._append(name, int(line))
        else:
            self._append(place, _NO_LINE)

    @property
    def files(self) -> list[str]:
        """Of their names; `lines` says which of them each place is in."""
        return list(self._files)

    @property
    def lines(self) -> np.ndarray:
        """[places, 2]: number of the file, line (-1: the name is all there is)."""
        return np.stack([np.array(self._file, dtype=np.int64), np.array(self._line, dtype=np.int64)], axis=1)

    @classmethod
    def of(cls, files: Sequence[str], lines: np.ndarray) -> Places:
        """What has these `files` and `lines`."""
        found = cls()
        found._files, found._numbers = list(files), {name: number for number, name in enumerate(files)}
        found._file.frombytes(lines[:, 0].astype(np.dtype("I")).tobytes())
        found._line.frombytes(lines[:, 1].astype(np.int64).tobytes())
        return found

    def _append(self, name: str, line: int) -> None:
        if name not in self._numbers:
            self._numbers[name] = len(self._files)
            self._files.append(name)
        self._file.append(self._numbers[name])
        self._line.append(line)

    def __len__(self) -> int:
        return len(self._line)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        if isinstance(at, slice):
            return [self[number] for number in range(*at.indices(len(self)))]
        name, line = self._files[self._file[at]], self._line[at]
        return name if line == _NO_LINE else f"{name}:{line}"

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
