"""What walks through the house: a row, its segments, the example made of them."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Row:
    """One record of a dataset: `columns` as the file names them, `where` it stands (`file:line`)."""

    columns: Mapping[str, Any]
    where: str
    source: int = 0
    """Which set of a mix it comes from."""
    origin: str = ""
    """What made it of another row ('paraphrase'); '' for a row of the file."""
    number: int = field(default=-1, compare=False)
    """Its place among the rows that are kept on disk; -1 for one that is in memory only."""


class Segment(NamedTuple):
    """A piece of rendered text. `learned`: the model is trained to write it. `end`: its end token, text ''."""

    text: str
    learned: bool = False
    end: bool = False
    weight: float = 1.0
    """How much each of its tokens counts in the loss, where it is learned."""


END = Segment("", learned=True, end=True)
"""The model's own end token, always learned."""


class Example(NamedTuple):
    """What the model sees of one row: token ids, and for each whether it is learned (same length)."""

    input_ids: list[int]
    learned: list[bool]
    where: str
    weights: Sequence[float] | None = None
    """How much each token counts in the loss, same length as the ids, 0 where it is not learned; None: 1 for each that
    is."""

    @property
    def sequences(self) -> tuple[Example, ...]:
        return (self,)


class Pair(NamedTuple):
    """Two answers to one prompt, the better one first; both sequences begin with that prompt."""

    chosen: Example
    rejected: Example
    where: str
    margin: float | None = None
    """By how much the chosen one is better, where the data says it."""

    @property
    def sequences(self) -> tuple[Example, ...]:
        return (self.chosen, self.rejected)


class Judged(NamedTuple):
    """One answer with a verdict."""

    example: Example
    desirable: bool
    where: str
    unrelated: Example
    """The same prompt with the answer to another one: what the model says of it shows how far it has drifted."""

    @property
    def sequences(self) -> tuple[Example, ...]:
        return (self.example,)


class Classified(NamedTuple):
    """A text (no token of it is learned) and the number of its class."""

    example: Example
    label: int
    where: str

    @property
    def sequences(self) -> tuple[Example, ...]:
        return (self.example,)


class Packed(NamedTuple):
    """Several short rows that count as one long row; none of them sees another."""

    sequences: tuple[Example, ...]

    @property
    def where(self) -> str:
        return ", ".join(example.where for example in self.sequences)


class Run(NamedTuple):
    """A stretch of a row's tokens that is learned, or given, as a whole."""

    ids: list[int]
    learned: bool = False
    end: bool = False
    """It is the end token of an answer."""
    weight: float = 1.0


AnyExample = Example | Pair | Judged | Classified | Packed
"""One row as a model sees it. All have `sequences` (what goes through the model) and `where` (its `file:line`)."""


class Counted(Sequence[AnyExample]):
    """Rows whose sizes are known without looking at each, because they lie on disk (`components/stored`)."""

    @property
    @abstractmethod
    def total_tokens(self) -> int: ...

    @property
    @abstractmethod
    def learned_tokens(self) -> int: ...

    @property
    @abstractmethod
    def longest(self) -> int: ...

    @property
    @abstractmethod
    def largest_id(self) -> int: ...

    @property
    def weighted(self) -> bool:
        """Whether any of their tokens may count more or less than another."""
        return True

    @abstractmethod
    def sequence_lengths(self, place: int) -> list[int]: ...


def total_tokens(rows: Iterable[AnyExample]) -> int:
    """Tokens of all their sequences."""
    if isinstance(rows, Counted):
        return rows.total_tokens
    return sum(len(sequence.input_ids) for row in rows for sequence in row.sequences)


def learned_tokens(rows: Iterable[AnyExample]) -> int:
    """How many tokens these rows teach. The first token of a row has nothing before it and cannot be predicted."""
    if isinstance(rows, Counted):
        return rows.learned_tokens
    return sum(sum(sequence.learned[1:]) for row in rows for sequence in row.sequences)


def learned_weight(rows: Iterable[AnyExample]) -> float:
    """How much the tokens count together that these rows teach: their number, where none counts more than another."""
    if isinstance(rows, Counted) and not rows.weighted:
        return rows.learned_tokens
    return sum(_weight(sequence) for row in rows for sequence in row.sequences)


def _weight(sequence: Example) -> float:
    return sum(sequence.learned[1:]) if sequence.weights is None else math.fsum(sequence.weights[1:])


def longest(rows: Iterable[AnyExample]) -> int:
    """Tokens of the longest sequence; 0 where there is none."""
    if isinstance(rows, Counted):
        return rows.longest
    return max((len(sequence.input_ids) for row in rows for sequence in row.sequences), default=0)


def largest_id(rows: Iterable[AnyExample]) -> int:
    """The highest token id of all their sequences; 0 where there is none."""
    if isinstance(rows, Counted):
        return rows.largest_id
    return max((max(sequence.input_ids, default=0) for row in rows for sequence in row.sequences), default=0)


def sequence_lengths(rows: Sequence[AnyExample], place: int) -> list[int]:
    """Tokens of each sequence of the row at this place."""
    if isinstance(rows, Counted):
        return rows.sequence_lengths(place)
    return [len(sequence.input_ids) for sequence in rows[place].sequences]
