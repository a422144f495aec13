"""Examples on disk: written once and mapped into memory, of which each takes some 8 bytes for itself."""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

from furrow.components.records import AnyExample, Classified, Counted, Example, Judged, Pair
from furrow.components.stored.mapped import Mapped

TOKENS, WEIGHTS, PLACES = "tokens.bin", "weights.bin", "places.bin"
_LEARNED = 1 << 31
"""The highest bit of a token: whether it is learned. No vocabulary has so many words."""
_EXAMPLE, _PAIR, _JUDGED, _CLASSIFIED = range(4)
_STORED = np.array([1, 2, 2, 1], dtype=np.int8)
"""Sequences of each kind that are stored; those that go through the model as the row's own come first."""
_KEPT = 8 << 20
"""Bytes of a file that may stay mapped: then the pages are given back, and come again when they are wanted."""
_AROUND = 128 << 10
"""What reading a few bytes brings in besides, at most: the kernel maps 64 KiB around a page that is missing."""
_MANY = 100_000
_BUFFER = 1 << 20
_AT_ONCE = 1 << 18
"""Tokens that are written in one go."""


class ExampleWriter:
    """Appends examples to files in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._tokens, self._weights, self._places = (
            (folder / name).open("wb", buffering=_BUFFER) for name in (TOKENS, WEIGHTS, PLACES)
        )
        self._largest = 0
        self._ids, self._marks = array("I"), bytearray()  # of the sequences that are not written yet
        self._lengths, self._weighted = array("I"), array("Q")
        self._learned: list[np.ndarray] = []
        self._firsts: list[np.ndarray] = []
        self._kinds, self._values, self._sources = array("B"), array("d"), array("H")
        self._place_lengths = array("I")

    def __len__(self) -> int:
        return len(self._kinds)

    def append(self, example: AnyExample, source: int = 0) -> None:
        """`source`: which set of a mix it comes from. All sequences of an example stand at its own place."""
        match example:
            case Example():
                self._add(_EXAMPLE, 0.0, (example,), source)
            case Pair(chosen, rejected, _, margin):
                self._add(_PAIR, np.nan if margin is None else margin, (chosen, rejected), source)
            case Judged(answered, desirable, _, unrelated):
                self._add(_JUDGED, desirable, (answered, unrelated), source)
            case Classified(text, label, _):
                self._add(_CLASSIFIED, label, (text,), source)
            case _:
                raise TypeError(f"not stored: {type(example).__name__}")

    def extend(self, examples: Iterable[AnyExample]) -> None:
        """All of them."""
        for example in examples:
            self.append(example)

    def finish(self) -> StoredExamples:
        """All of them; `StoredExamples.load` finds them again."""
        self._write()
        self.close()
        for name, column in self._columns().items():  # one at a time: all of them would double what they take
            np.save(self._folder / f"{name}.npy", column(), allow_pickle=False)
        self._lengths, self._place_lengths, self._values = array("I"), array("I"), array("d")
        self._learned, self._firsts = [], []
        return StoredExamples.load(self._folder)

    def close(self) -> None:
        """Gives up: what is written stays as it is."""
        for file in (self._tokens, self._weights, self._places):
            file.close()

    def _columns(self) -> dict[str, Callable[[], Any]]:
        """What is known of the examples without their tokens: name of the file -> its values."""
        return {
            "ends": lambda: np.cumsum(self._lengths, dtype=np.int64),
            "place_ends": lambda: np.cumsum(self._place_lengths, dtype=np.int64),
            "kinds": lambda: self._kinds,
            "starts": lambda: np.cumsum(_STORED[self._kinds], dtype=np.int64) - _STORED[self._kinds],
            "values": lambda: self._values,
            "sources": lambda: self._sources,
            "learned": lambda: np.concatenate([np.zeros(0, np.uint32), *self._learned]),
            "firsts": lambda: np.concatenate([np.zeros(0, np.bool_), *self._firsts]),
            "weighted": lambda: np.array(self._weighted, dtype=np.int64),
            "largest": lambda: self._largest,
        }

    def _add(self, kind: int, value: float, sequences: Sequence[Example], source: int) -> None:
        place = sequences[0].where
        for sequence in sequences:
            if sequence.where != place:
                raise ValueError(f"sequences of one example at two places: {place}, {sequence.where}")
            if len(sequence.input_ids) != len(sequence.learned):
                raise ValueError(f"{len(sequence.input_ids)} tokens and {len(sequence.learned)} marks at {place}")
            if sequence.weights is not None:
                self._weights.write(array("d", sequence.weights))
                self._weighted.append(len(self._lengths))
            self._ids.extend(sequence.input_ids)
            self._marks += bytes(sequence.learned)
            self._lengths.append(len(sequence.input_ids))
        self._place_lengths.append(self._places.write(place.encode("utf-8", "surrogateescape")))
        self._kinds.append(kind)
        self._values.append(value)
        self._sources.append(source)
        if len(self._ids) > _AT_ONCE:
            self._write()

    def _write(self) -> None:
        """The sequences that are not written yet. Raises OverflowError for a token that no vocabulary has."""
        ids, marks = np.array(self._ids, dtype=np.uint32), np.array(self._marks, dtype=np.bool_)
        self._largest = max(self._largest, int(ids.max(initial=0)))
        if self._largest >= _LEARNED:
            raise OverflowError(f"token {self._largest}")
        self._tokens.write((ids | (marks.astype(np.uint32) << np.uint32(31))).data)
        lengths = np.array(self._lengths[sum(map(len, self._firsts)) :], dtype=np.int64)
        begins = np.cumsum(lengths) - lengths
        running = np.concatenate([[0], np.cumsum(marks)])
        firsts = marks[begins]
        self._learned.append((running[begins + lengths] - running[begins] - firsts).astype(np.uint32))
        self._firsts.append(firsts)
        self._ids, self._marks = array("I"), bytearray()


class StoredExamples(Counted):
    """Examples of an ExampleWriter, all of them or some (`only`), in any order. Slices are such views too.

    Each access makes new objects: who compares examples compares what they say.
    """

    def __init__(self, file: _ExampleFile, numbers: np.ndarray) -> None:
        self._file = file
        self.numbers = numbers
        """Places in the file."""

    @classmethod
    def load(cls, folder: Path) -> StoredExamples:
        """What `ExampleWriter.finish` left there."""
        file = _ExampleFile(folder)
        return cls(file, np.arange(len(file.kinds), dtype=np.int32 if len(file.kinds) < 2**31 else np.int64))

    def only(self, places: Iterable[int] | np.ndarray) -> StoredExamples:
        """Those that stand at these places, as often as they are named."""
        chosen = places if isinstance(places, np.ndarray) else np.fromiter(places, dtype=np.int64)
        return StoredExamples(self._file, self.numbers[chosen])

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, place: int) -> AnyExample: ...

    @overload
    def __getitem__(self, place: slice) -> StoredExamples: ...

    def __getitem__(self, place: int | slice) -> AnyExample | StoredExamples:
        if isinstance(place, slice):
            return StoredExamples(self._file, self.numbers[place])
        return self._file.example(int(self.numbers[place]))

    def __iter__(self) -> Iterator[AnyExample]:
        return (self._file.example(int(number)) for number in self.numbers)

    def sequence_lengths(self, place: int) -> list[int]:
        """Tokens of each of its `sequences`."""
        return self._file.lengths_of(int(self.numbers[place]))

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each one's `sequences` together."""
        starts = self._file.starts[self.numbers]
        found: np.ndarray = self._file.ends[starts + self._has_two] - self._file.begins(starts)
        self._file.looked_through(len(found))
        return found

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        starts = self._file.starts[self.numbers]
        first = self._file.ends[starts] - self._file.begins(starts)
        return int(np.maximum(first, self.lengths - first).max(initial=0))

    @property
    def largest_id(self) -> int:
        """The highest token in the file."""
        return self._file.largest

    @property
    def total_tokens(self) -> int:
        """Of all `sequences`."""
        return int(self.lengths.sum())

    @property
    def learned_tokens(self) -> int:
        """How many tokens they teach: the first one of a sequence cannot be predicted."""
        return int(self.learned.sum())

    @property
    def learned(self) -> np.ndarray:
        """How many tokens each one teaches."""
        return self._summed(self._file.learned)

    @property
    def marked_tokens(self) -> int:
        """Tokens that are marked as learned, first ones too."""
        return self.learned_tokens + int(self._summed(self._file.firsts).sum())

    @property
    def weighted(self) -> bool:
        """Whether any example in the file has weights."""
        return self._file.weighted

    @property
    def sources(self) -> np.ndarray:
        """Which set of a mix each comes from."""
        return self._file.sources[self.numbers]

    @property
    def values(self) -> np.ndarray:
        """What is said of each beside its tokens: the margin of a pair (nan: none), the verdict on an answer (1.0 is
        wanted), the number of a class."""
        return self._file.values[self.numbers]

    @property
    def _has_two(self) -> np.ndarray:
        """1 where a second sequence goes through the model too."""
        return (self._file.kinds[self.numbers] == _PAIR).astype(np.int64)

    def _summed(self, of_sequences: np.ndarray) -> np.ndarray:
        starts, two = self._file.starts[self.numbers], self._has_two
        first = of_sequences[starts].astype(np.int64)
        found: np.ndarray = first + two * of_sequences[starts + two]
        self._file.looked_through(len(found))
        return found


class _ExampleFile:
    """The files, and what is known of the examples without reading them."""

    def __init__(self, folder: Path) -> None:
        self.mapped = Mapped()

        def column(name: str) -> np.ndarray:
            return self.mapped.saved(folder / f"{name}.npy")

        self.kinds, self.values, self.sources = column("kinds"), column("values"), column("sources")
        self.learned, self.firsts, self.ends = column("learned"), column("firsts"), column("ends")
        self._place_ends = column("place_ends")
        self.starts = column("starts")
        """Of each example, the number of its first sequence."""
        self.largest = int(column("largest"))
        self._tokens = _Window(folder / TOKENS, np.uint32)
        self._places = _Window(folder / PLACES, np.uint8)
        self._weights = _Window(folder / WEIGHTS, np.float64)
        weighted = column("weighted")
        lengths = self.ends[weighted] - self.begins(weighted)
        self._weighted, self._weight_ends = weighted, np.cumsum(lengths)

    @property
    def weighted(self) -> bool:
        return len(self._weighted) > 0

    def looked_through(self, count: int) -> None:
        """So many examples were asked at once: where these are many, what was mapped for it is given back."""
        if count > _MANY:
            self.mapped.give_back()

    def begins(self, sequences: np.ndarray) -> np.ndarray:
        """Where each of these sequences begins."""
        return np.where(sequences > 0, self.ends[sequences - 1], 0) if len(self.ends) else np.zeros(0, np.int64)

    def length(self, sequence: int) -> int:
        return int(self.ends[sequence] - (self.ends[sequence - 1] if sequence else 0))

    def lengths_of(self, number: int) -> list[int]:
        start = int(self.starts[number])
        return [self.length(start + more) for more in range(1 + (self.kinds[number] == _PAIR))]

    def example(self, number: int) -> AnyExample:
        start, kind = int(self.starts[number]), int(self.kinds[number])
        first = self.sequence(start, number)
        if kind == _EXAMPLE:
            return first
        value = float(self.values[number])
        if kind == _PAIR:
            margin = None if np.isnan(value) else value
            return Pair(first, self.sequence(start + 1, number, first.where), first.where, margin)
        if kind == _JUDGED:
            return Judged(first, bool(value), first.where, self.sequence(start + 1, number, first.where))
        return Classified(first, int(value), first.where)

    def sequence(self, sequence: int, number: int, where: str | None = None) -> Example:
        end = int(self.ends[sequence])
        marked = self._tokens.read(end - self.length(sequence), end)
        ids, learned = (marked & np.uint32(_LEARNED - 1)).tolist(), (marked >= _LEARNED).tolist()
        return Example(ids, learned, self._place(number) if where is None else where, self._weights_of(sequence))

    def _place(self, number: int) -> str:
        begin = int(self._place_ends[number - 1]) if number else 0
        return self._places.read(begin, int(self._place_ends[number])).tobytes().decode("utf-8", "surrogateescape")

    def _weights_of(self, sequence: int) -> list[float] | None:
        if not len(self._weighted):
            return None
        at = int(np.searchsorted(self._weighted, sequence))
        if at == len(self._weighted) or self._weighted[at] != sequence:
            return None
        end = int(self._weight_ends[at])
        weights: list[float] = self._weights.read(end - self.length(sequence), end).tolist()
        return weights


class _Window:
    """A file of numbers of one type in memory, of which at most about _KEPT bytes count as this process's own."""

    def __init__(self, path: Path, kind: type[np.generic]) -> None:
        with path.open("rb") as file:
            file.seek(0, 2)
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if file.tell() else None
        self._values: np.ndarray = np.frombuffer(self._map or b"", dtype=kind)
        self._touched = 0

    def read(self, start: int, end: int) -> np.ndarray:
        """A copy of the numbers [start, end)."""
        found = self._values[start:end].copy()
        self._touched += found.nbytes + _AROUND
        if self._map is not None and self._touched > _KEPT:
            self._map.madvise(mmap.MADV_DONTNEED)
            self._touched = 0
        return found
