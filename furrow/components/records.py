"""What walks through the house: a row, its segments, the example made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


END = Segment("", learned=True, end=True)
"""The model's own end token, always learned."""


class Example(NamedTuple):
    """What the model sees of one row: token ids, and for each whether it is learned (same length)."""

    input_ids: list[int]
    learned: list[bool]
    where: str

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


AnyExample = Example | Pair | Judged | Classified | Packed
"""One row as a model sees it. All have `sequences` (what goes through the model) and `where` (its `file:line`)."""


def total_tokens(rows: Iterable[AnyExample]) -> int:
    """Tokens of all their sequences."""
    return sum(len(sequence.input_ids) for row in rows for sequence in row.sequences)


def learned_tokens(rows: Iterable[AnyExample]) -> int:
    """How many tokens these rows teach. The first token of a row has nothing before it and cannot be predicted."""
    return sum(sum(sequence.learned[1:]) for row in rows for sequence in row.sequences)
