"""Rows become labelled token ids: rendered by the template, learned where it says so, cut where they are too long."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from furrow.components.columns import text
from furrow.components.errors import RequestError
from furrow.components.prompt_template import PromptTemplate
from furrow.components.records import END, Example, Row, Segment
from furrow.components.tokens import end_token_id, segment_ids
from furrow.strategies.schema import PreprocessingConfig

DEFAULT_MAX_LENGTH = 2048
"""Where neither the strategy nor the tokenizer says how long a row may be, in tokens."""


@dataclass
class Prepared:
    """Examples in the order of the rows, and where they differ from the rows: by `file:line`, never silently."""

    examples: list[Example] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    """Rows of which the end was cut away."""
    dropped: list[str] = field(default_factory=list)
    """Rows whose whole answer would have been cut away."""

    @property
    def tokens(self) -> int:
        return sum(len(example.input_ids) for example in self.examples)

    @property
    def learned_tokens(self) -> int:
        return sum(sum(example.learned) for example in self.examples)


@dataclass(frozen=True)
class ExampleMaker:
    """Knows the template (None: plain text, every token learned), the tokenizer and the limits, all in tokens."""

    template: PromptTemplate | None
    tokenizer: Any
    limits: PreprocessingConfig

    @property
    def max_length(self) -> int:
        """Of a whole row: the strategy's, else the model's own up to DEFAULT_MAX_LENGTH.

        Raises RequestError for one that is longer than the model takes.
        """
        if self.limits.max_length is not None:
            if self.limits.max_length > (self.tokenizer.model_max_length or math.inf):
                raise RequestError(
                    f"max_length is {self.limits.max_length}, the model takes at most "
                    f"{self.tokenizer.model_max_length} tokens",
                    where="data_preprocessing.max_length",
                    remedy="lower it, or leave it out",
                )
            return self.limits.max_length
        return int(min(self.tokenizer.model_max_length or DEFAULT_MAX_LENGTH, DEFAULT_MAX_LENGTH))

    @property
    def end_id(self) -> int:
        """The token that ends an answer."""
        return end_token_id(self.tokenizer, self.template.end_of_turn() if self.template else None)

    def prepare(self, rows: Sequence[Row]) -> Prepared:
        """Raises RequestError with `file:line` for a row that does not fit the template or teaches nothing."""
        prepared, end_id = Prepared(), self.end_id
        for row in rows:
            ids, learned = segment_ids(self.tokenizer, self.segments(row), end_id)
            if not any(learned[1:]):
                raise RequestError("the row has no token to learn: its answer is empty", where=row.where)
            if self.template is None:
                prepared.examples += _windows(ids, learned, row.where, self.max_length)
            else:
                self._add(prepared, ids, learned, row.where)
        return prepared

    def segments(self, row: Row) -> list[Segment]:
        """The row as pieces of text, each learned or not."""
        if self.template is not None:
            pieces = self.template.train_segments(row)
            if not any(piece.learned and piece.text.strip() for piece in pieces):
                raise RequestError("the row has no token to learn: its answer is empty", where=row.where)
            return pieces
        return [Segment(text(row), learned=True), END]

    def _add(self, prepared: Prepared, ids: list[int], learned: list[bool], where: str) -> None:
        kept = self._within_limits(learned)
        if len(kept) < len(ids):
            if not any(learned[position] for position in kept if position > 0):
                prepared.dropped.append(where)
                return
            prepared.truncated.append(where)
        prepared.examples.append(
            Example([ids[position] for position in kept], [learned[position] for position in kept], where)
        )

    def _within_limits(self, learned: Sequence[bool]) -> list[int]:
        """The positions that stay. Of what is given the end stays (it holds the cue to answer), and the BOS token; of
        an answer, and of the whole row, the beginning."""
        kept: list[int] = []
        for is_learned, run in itertools.groupby(range(len(learned)), key=learned.__getitem__):
            positions = list(run)
            limit = self.limits.max_output_length if is_learned else self.limits.max_input_length
            if limit is None or len(positions) <= limit:
                kept += positions
            elif is_learned:
                kept += positions[:limit]
            else:
                first = positions[:1] if positions[0] == 0 else []
                kept += first + positions[len(positions) - limit + len(first) :]
        return kept[: self.max_length]


def _windows(ids: list[int], learned: list[bool], where: str, length: int) -> Iterator[Example]:
    """A text that is too long becomes several examples: of plain text nothing need be lost.

    Each begins with the last token of the one before, given and not learned, so that every token but the very first
    is predicted exactly once.
    """
    for start in range(0, max(len(ids) - 1, 1), max(length - 1, 1)):
        end = start + length
        yield Example(ids[start:end], [learned[start] and start == 0, *learned[start + 1 : end]], where)
