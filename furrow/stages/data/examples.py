"""Rows become labelled token ids: rendered by the template, learned where it says so, cut where they are too long."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from furrow.components.batch_encoder import BatchEncoder, Rendered
from furrow.components.columns import text
from furrow.components.errors import FurrowError, RequestError
from furrow.components.preferences import judged_of, pair_of
from furrow.components.prompt_template import PromptTemplate
from furrow.components.records import END, Example, Row, Run, Segment
from furrow.components.tokens import beginning_of_sequence, end_token_id, runs_of
from furrow.stages import wire
from furrow.stages.data.bad_rows import JUDGED_AT, BadRows, judge
from furrow.stages.data.batches import in_batches, worked
from furrow.stages.data.classification_examples import Classes, Texts
from furrow.stages.data.labels import label_of, labels_of
from furrow.stages.data.limits import Kept, kept_of, last_answer_only
from furrow.stages.data.making import Answers, Making, Windows
from furrow.stages.data.preference_examples import Pairs, Verdicts
from furrow.stages.data.prepared import Appends, Prepared
from furrow.stages.data.rows import Rows
from furrow.stages.data.turns import has_system, without_first_turn
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
    templates: Sequence[PromptTemplate] = ()
    """Those of the sets of a mix, by their number; rows of any other set have `template`."""

    @cached_property
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

    @cached_property
    def beginning(self) -> list[int]:
        """What the tokenizer puts before every text."""
        return beginning_of_sequence(self.tokenizer)

    @cached_property
    def _ends(self) -> dict[int, int]:
        return {}  # by the identity of the template, which need not be hashable

    def end_id(self, row: Row) -> int:
        """The token that ends its answers."""
        template = self.template_of(row)
        if id(template) not in self._ends:
            self._ends[id(template)] = end_token_id(self.tokenizer, template.end_of_turn() if template else None)
        return self._ends[id(template)]

    def template_of(self, row: Row) -> PromptTemplate | None:
        """What renders it."""
        return self.templates[row.source] if row.source < len(self.templates) else self.template

    def prepare(self, rows: Iterable[Row], into: Appends | None = None) -> Prepared:
        """The rows as examples, in batches: memory holds no more than two of them, and what `into` keeps (a list, where
        it is None, which is then `Prepared.examples`).

        Raises RequestError with `file:line` for a row that does not fit the template or teaches nothing, unless such
        rows are set aside."""
        self.end_id(Row({}, ""))  # a tokenizer without one is no fault of a row
        prepared = Prepared()
        making = self.making(prepared, into)
        batches = in_batches(self._rendered(rows, making), lambda each: sum(map(_characters, each[1])))
        encoder = BatchEncoder(self.tokenizer)

        planned = ((each, encoder.planned(part for _, parts in each for part in parts)) for each in batches)
        for (batch, encoded), _ in worked(planned, lambda each: encoder.tokenise(each[1])):
            given = encoder.runs(encoded)
            for row, parts in batch:
                wholes = [next(given) for _ in parts]
                try:
                    making.take(row, wholes)
                except FurrowError as error:
                    self.bad.caught(row, error)
        making.end()
        return prepared

    def making(self, prepared: Prepared, into: Appends | None = None) -> Making:
        """What makes the examples of this objective, and keeps account of them in `prepared`."""
        if self.classes is not None:
            return Texts(self, prepared, into, self.classes)
        if self.template is None:
            return Windows(self, prepared, into)
        if self.objective in PAIRS:
            return Pairs(self, prepared, into, margins=self.objective == "reward")
        return (Verdicts if self.objective in VERDICTS else Answers)(self, prepared, into)

    def _rendered(self, rows: Iterable[Row], making: Making) -> Iterator[tuple[Row, list[Rendered]]]:
        before = len(self.bad.found)
        for number, row in enumerate(rows, 1):
            try:
                yield row, [(segments, self.end_id(row)) for segments in making.parts(row)]
            except FurrowError as error:
                self.bad.caught(row, error)
            if number == JUDGED_AT:
                judge(self.bad.found[before:], number)

    def segments(self, row: Row) -> list[Segment]:
        """The row as pieces of text, each learned or not."""
        template = self.template_of(row)
        if template is not None:
            pieces = template.train_segments(row)
            if not any(piece.learned and piece.text.strip() for piece in pieces):
                raise RequestError("the answer is empty: the row has no token to learn", where=row.where)
            return pieces
        return [Segment(text(row), learned=True), END]

    def rendered(self, row: Row) -> list[Row]:
        """What the template renders of a row: the row itself; of a pair, the prompt with either answer."""
        if self.classes is not None:
            return [self.classes.answered(row)]
        if self.objective in PAIRS:
            return list(pair_of(row))
        return [part for part, _ in judged_of(row)] if self.objective in VERDICTS else [row]

    def runs(self, row: Row) -> list[Run]:
        """The row, as its template renders it, in tokens."""
        return runs_of(self.tokenizer, self.segments(row), self.end_id(row))

    def uncut(self, row: Row) -> list[tuple[Example, Sequence[int]]]:
        """Each sequence of the row as it is before any limit, with the positions that stay, ascending (none: it is
        dropped)."""
        making = self.making(Prepared())
        runs = [runs_of(self.tokenizer, segments, self.end_id(row)) for segments in making.parts(row)]
        return making.uncut(row, runs)

    def fits(self, tokens: int) -> bool:
        """Whether a row of so many tokens is within the limits, whatever it holds."""
        return tokens <= self.max_length and not (self.limits.max_input_length or self.limits.max_output_length)

    def kept(self, row: Row, runs: Sequence[Run], longest: int | None = None) -> Kept:
        """What the limits leave of a rendered row. `longest`: for once, in the stead of max_length."""
        longest = self.max_length if longest is None else longest
        return kept_of(runs, self.limits, longest, lambda: self._head(row, runs))

    @property
    def cuts_prompts(self) -> bool:
        """Whether too long rows lose the beginning of what is asked."""
        return self.limits.truncation == "cut_prompt"

    def shorter(self, row: Row) -> Row | None:
        """The row without its oldest turn, where too long rows lose turns and it has one to lose."""
        return without_first_turn(row) if self.limits.truncation == "cut_turns" else None

    def learned(self, runs: list[Run]) -> list[Run]:
        """The runs as `learned_turns` wants them."""
        return last_answer_only(runs) if self.limits.learned_turns == "last" else runs

    def _head(self, row: Row, runs: Sequence[Run]) -> int:
        """Tokens of the beginning that stay: the one that begins every text, and the system message where the template
        hands it over as a piece of its own."""
        template = self.template_of(row)
        if template is None or not (has_system(row) or template.system()):
            return 1
        pieces = template.train_segments(row)
        if len(pieces) < 2 or pieces[1].learned:
            return 1
        alone = [*self.beginning, *self.tokenizer(pieces[0].text, add_special_tokens=False).input_ids]
        given = itertools.takewhile(lambda run: not run.learned, runs)
        pairs = zip(alone, itertools.chain.from_iterable(run.ids for run in given), strict=False)
        return max(1, sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _characters(rendered: Rendered) -> int:
    return sum([len(segment.text) for segment in rendered[0]])


def maker_for(strategy: Strategy, tokenizer: Any, rows: Rows, classes: Classes | None = None) -> ExampleMaker:
    """What turns these rows into examples for this tokenizer. `classes`: where they are known already."""
    objective = objective_of(strategy)
    classes = classes or classes_of(strategy, rows)
    template = None if objective == "pretrain" else wire.prompt_template(strategy, tokenizer)
    templates = [] if template is None else wire.templates_of_mix(strategy, tokenizer, template)
    return ExampleMaker(template, tokenizer, strategy.data_preprocessing, objective, classes, rows.bad, templates)


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
