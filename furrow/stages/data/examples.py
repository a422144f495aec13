"""Rows become labelled token ids: rendered by the template, learned where it says so, cut where they are too long."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from furrow.components.columns import text
from furrow.components.errors import RequestError
from furrow.components.preferences import judged_of, pair_of
from furrow.components.prompt_template import PromptTemplate
from furrow.components.records import END, Example, Row, Segment
from furrow.components.tokens import end_token_id, segment_ids
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.classification_examples import Classes
from furrow.stages.data.labels import label_of, labels_of
from furrow.stages.data.preference_examples import pairs, verdicts
from furrow.stages.data.prepared import Prepared
from furrow.stages.data.rows import Rows
from furrow.strategies.schema import PreprocessingConfig, Strategy

__all__ = ["ExampleMaker", "Prepared"]

DEFAULT_MAX_LENGTH = 2048
"""Where neither the strategy nor the tokenizer says how long a row may be, in tokens."""

PAIRS = frozenset({"dpo", "orpo", "simpo", "reward"})
"""Objectives that compare two answers."""
VERDICTS = frozenset({"kto"})
"""Objectives that take one answer with true or false about it."""


@dataclass(frozen=True)
class ExampleMaker:
    """Knows the template (None: plain text, every token learned), the tokenizer and the limits, all in tokens."""

    template: PromptTemplate | None
    tokenizer: Any
    limits: PreprocessingConfig
    objective: str = "sft"
    """What the examples are for (`objective.type`), where a template makes them."""
    classes: Classes | None = None
    """What they are put into, where that is the objective."""
    bad: BadRows = field(default_factory=BadRows)
    """What becomes of a row that does not fit the template or teaches nothing."""

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
        """Raises RequestError with `file:line` for a row that does not fit the template or teaches nothing, unless such
        rows are set aside."""
        if self.classes is not None:
            return self.classes.prepare(rows, self)
        if self.objective in PAIRS:
            return pairs(rows, self, margins=self.objective == "reward")
        if self.objective in VERDICTS:
            return verdicts(rows, self)
        prepared, end_id = Prepared(), self.end_id
        for row in rows:
            with self.bad.looking_at(row):
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

    def rendered(self, row: Row) -> list[Row]:
        """What the template renders of a row: the row itself; of a pair, the prompt with either answer."""
        if self.classes is not None:
            return [self.classes.answered(row)]
        if self.objective in PAIRS:
            return list(pair_of(row))
        return [part for part, _ in judged_of(row)] if self.objective in VERDICTS else [row]

    def answer(self, row: Row) -> Example:
        """The whole row, its last answer learned: what was said earlier belongs to the prompt."""
        ids, learned = segment_ids(self.tokenizer, self.segments(row), self.end_id)
        start = len(ids)
        while start and learned[start - 1]:
            start -= 1
        return Example(ids, [position >= start for position in range(len(ids))], row.where)

    def cut(self, example: Example) -> Example:
        """The part of it that the limits allow."""
        kept = self._within_limits(example.learned)
        return Example([example.input_ids[at] for at in kept], [example.learned[at] for at in kept], example.where)

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


def objective_of(strategy: Strategy) -> str:
    """What the rows teach (`objective.type`); a fine-tuner that knows no objective tunes on answers."""
    return str(getattr(getattr(strategy.fine_tuner.config, "objective", None), "type", "sft"))


def classes_of(strategy: Strategy, rows: Rows) -> Classes | None:
    """The classes of a strategy that classifies, from its settings or from the rows that are to be learned."""
    if objective_of(strategy) != "classification":
        return None
    objective: Any = getattr(strategy.fine_tuner.config, "objective", None)
    for row in rows.train:
        with rows.bad.looking_at(row):
            label_of(row, objective.label_column)
    learned = rows.bad.without(rows.train)
    return Classes(labels_of(learned, objective.labels, objective.label_column), objective.text == "template")


def _windows(ids: list[int], learned: list[bool], where: str, length: int) -> Iterator[Example]:
    """A text that is too long becomes several examples: of plain text nothing need be lost.

    Each begins with the last token of the one before, given and not learned, so that every token but the very first
    is predicted exactly once.
    """
    for start in range(0, max(len(ids) - 1, 1), max(length - 1, 1)):
        end = start + length
        yield Example(ids[start:end], [learned[start] and start == 0, *learned[start + 1 : end]], where)
