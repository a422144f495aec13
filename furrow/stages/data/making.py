"""What an objective makes of encoded rows: one object for each kind, all asked in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from furrow.components.errors import RequestError
from furrow.components.records import AnyExample, Example, Row, Run, Segment
from furrow.components.tokens import runs_of
from furrow.stages.data.limits import Kept, example_of, teaches
from furrow.stages.data.prepared import Appends, Prepared

Uncut = list[tuple[Example, Sequence[int]]]
"""(a sequence before any limit, the positions of it that stay)"""


class Renders(Protocol):
    """What is needed of an `ExampleMaker`."""

    @property
    def tokenizer(self) -> Any: ...

    @property
    def max_length(self) -> int: ...

    @property
    def cuts_prompts(self) -> bool: ...

    def segments(self, row: Row) -> list[Segment]: ...

    def end_id(self, row: Row) -> int: ...

    def fits(self, tokens: int) -> bool: ...

    def kept(self, row: Row, runs: Sequence[Run], longest: int | None = None) -> Kept: ...

    def shorter(self, row: Row) -> Row | None: ...

    def learned(self, runs: list[Run]) -> list[Run]: ...


class Making(ABC):
    """Examples of one objective, put where they belong as they come."""

    def __init__(self, maker: Renders, prepared: Prepared, into: Appends | None) -> None:
        self.maker, self.prepared, self._into = maker, prepared, into

    def parts(self, row: Row) -> list[list[Segment]]:
        """What is to be encoded of the row. Raises RequestError with `file:line` for a row that does not fit."""
        return [self.maker.segments(row)]

    @abstractmethod
    def take(self, row: Row, wholes: list[list[Run]]) -> None:
        """Makes its examples of its encoded parts. Raises RequestError with `file:line` where they teach nothing."""

    @abstractmethod
    def uncut(self, row: Row, wholes: list[list[Run]]) -> Uncut:
        """What is to be shown of it."""

    def end(self) -> None:  # noqa: B027 (most have nothing left to do)
        """All rows were taken."""

    def put(self, example: AnyExample, row: Row) -> None:
        if self._into is None:
            self.prepared.examples.append(example)  # type: ignore[attr-defined]
        else:
            self._into.append(example, row.source)

    def encoded(self, row: Row) -> list[Run]:
        """One row by itself."""
        return runs_of(self.maker.tokenizer, self.maker.segments(row), self.maker.end_id(row))


class Windows(Making):
    """Plain text: one that is too long becomes several examples, for nothing of it need be lost."""

    def take(self, row: Row, wholes: list[list[Run]]) -> None:
        whole = example_of(wholes[0], row.where)
        _refuse_empty(whole)
        for window in _windows(whole, self.maker.max_length):
            self.put(window, row)

    def uncut(self, row: Row, wholes: list[list[Run]]) -> Uncut:
        whole = example_of(wholes[0], row.where)
        return [(whole, range(len(whole.input_ids)))]


class Answers(Making):
    """Questions with answers, and conversations."""

    def take(self, row: Row, wholes: list[list[Run]]) -> None:
        runs = self.maker.learned(wholes[0])
        example = example_of(runs, row.where)
        _refuse_empty(example)
        kept = None if self.maker.fits(len(example.input_ids)) else self.maker.kept(row, runs)
        if kept is not None and len(kept.positions) < len(example.input_ids):
            shorter = self._with_fewer_turns(row) if not kept.positions else None
            found = example_of(*shorter) if shorter else example_of(runs, row.where, kept)
            if not teaches(found):
                self.prepared.dropped.add(row.where)
                return
            example = found
            self.prepared.truncated.add(row.where)
            if kept.answer_cut or (shorter and shorter[2].answer_cut):
                self.prepared.cut_answers.add(row.where)
        self.put(example, row)

    def uncut(self, row: Row, wholes: list[list[Run]]) -> Uncut:
        runs = self.maker.learned(wholes[0])
        whole, kept = example_of(runs, row.where), self.maker.kept(row, runs)
        if not kept.positions and (shorter := self._with_fewer_turns(row)):
            return [(whole, ends_of(whole, example_of(*shorter)))]
        return [(whole, kept.positions if teaches(example_of(runs, row.where, kept)) else [])]

    def _with_fewer_turns(self, row: Row) -> tuple[list[Run], str, Kept] | None:
        """As many turns less as it takes; None where that does not help."""
        fewer = self.maker.shorter(row)
        while fewer is not None:
            runs = self.maker.learned(self.encoded(fewer))
            if (kept := self.maker.kept(fewer, runs)).positions:
                return runs, row.where, kept
            fewer = self.maker.shorter(fewer)
        return None


def ends_of(whole: Example, part: Example) -> list[int]:
    """The positions of `part`, whose beginning and end are those of `whole`."""
    ids, kept = whole.input_ids, part.input_ids
    first = 0
    while first < len(kept) and ids[first] == kept[first]:
        first += 1
    last = 0
    while last < len(kept) - first and ids[len(ids) - 1 - last] == kept[len(kept) - 1 - last]:
        last += 1
    return [*range(first), *range(len(ids) - last, len(ids))]


def _refuse_empty(example: Example) -> None:
    if not teaches(example):
        what = "the answer is empty, or has the weight 0: the row has no token to learn"
        raise RequestError(what, where=example.where)


def _windows(whole: Example, length: int) -> Iterator[Example]:
    """Each begins with the last token of the one before, given and not learned, so that every token but the very first
    is predicted exactly once."""
    ids, learned, where = whole.input_ids, whole.learned, whole.where
    for start in range(0, max(len(ids) - 1, 1), max(length - 1, 1)):
        end = start + length
        yield Example(ids[start:end], [learned[start] and start == 0, *learned[start + 1 : end]], where)
