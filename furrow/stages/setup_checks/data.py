"""The dataset: its files parse, its rows fit the template, their lengths fit the limits, nothing is on both sides.

It goes the way of `train` (the same reading, splitting, rendering and cutting), so that what passes here trains.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from furrow.components.checks import Check
from furrow.components.errors import several
from furrow.components.events import listed
from furrow.components.plural import plural
from furrow.components.prompt_template import PromptTemplate
from furrow.components.stored.rows import StoredRows
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.control_tokens import forged_turns
from furrow.stages.data.cut_by import rows_cut_by
from furrow.stages.data.examples import ExampleMaker, Prepared, maker_for
from furrow.stages.data.faulty import GO_ON, cuts, leaks
from furrow.stages.data.prepared import TOO_MANY_DROPPED
from furrow.stages.data.rows import DUPLICATES, Rows, leakage, load_rows
from furrow.stages.setup_checks.answers import answers
from furrow.stages.setup_checks.tokenizer import LightTokenizer
from furrow.strategies.files import Loaded
from furrow.strategies.schema import Strategy

MOST_ROWS = 5_000
"""Rows of each side that are rendered and counted, spread evenly over the file: some 2 s of work."""
STAND_IN = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
"""A chat template for as long as the model's own is not here: it takes every conversation."""


@dataclass(frozen=True)
class NoTokenizerYet:
    """`TokenizerFacts` of a base model that is still to be downloaded."""

    chat_template: str | None = STAND_IN
    bos_token: str | None = None
    eos_token: str | None = None


def check_data(loaded: Loaded, tokenizer: LightTokenizer | None) -> Iterator[Check]:
    """Raises RequestError for a file that is not there and for the first bad row, by file:line."""
    dataset = loaded.strategy.dataset
    if dataset.train_file is None and not dataset.mix:
        remedy = "give train --train-dataset FILE; to check it here, --set dataset.train_file=FILE"
        yield Check("dataset", "warning", "the strategy names no rows to learn", remedy)
        return
    rows = load_rows(loaded, lambda event: None, ask=False)
    learned = dataset.train_file or " and ".join(source.file for source in dataset.mix)
    yield from _check_rows(rows, learned, dataset.eval_file, stops=dataset.on_faulty_data == "stop")
    yield from answers("prompt template", _check_examples(loaded.strategy, rows, tokenizer))
    if bad := rows.bad.event():
        found = f"{bad.rows:,} of {bad.of:,} rows cannot be used, and train sets them aside: {listed(bad.first)}"
        yield Check("bad rows", "warning", found)


def _check_rows(rows: Rows, train_file: str, eval_file: str | None, *, stops: bool) -> Iterator[Check]:
    measured = f", {len(rows.evaluation):,} to evaluate on" if rows.evaluation else ", none to evaluate on"
    files = f"{train_file}" + (f" and {eval_file}" if eval_file else "")
    doubles = f", {rows.duplicates:,} duplicates dropped" if rows.duplicates else ""
    yield Check("dataset", "passed", f"{plural(len(rows.train), 'row')} to learn{measured}{doubles} ({files})")
    if rows.flawed:
        flawed = [dropped for dropped in rows.dropped if dropped.rule != DUPLICATES]
        places = listed([f"{dropped.where} ({dropped.reason})" for dropped in flawed])
        yield Check("data quality", "warning", f"{plural(rows.flawed, 'row')} dropped by filter_quality: {places}")
    if fault := next(leaks(rows), None) if stops else None:
        yield Check("train/eval leakage", "failed", fault.what, f"{fault.remedy}, {GO_ON}")
    elif warning := leakage(rows):
        yield Check("train/eval leakage", "warning", warning.message, warning.remedy or "")
    elif rows.evaluation:
        yield Check("train/eval leakage", "passed", "no row to evaluate on is learned")


def _check_examples(strategy: Strategy, rows: Rows, tokenizer: LightTokenizer | None) -> Iterator[Check]:
    facts = tokenizer or NoTokenizerYet()
    maker = maker_for(strategy, facts, rows)
    template, classes = maker.template, maker.classes
    if classes is not None:
        for row in itertools.chain(rows.train, rows.evaluation):
            with rows.bad.looking_at(row):
                classes.labels.number(row)
        rows.leave_out_bad()
        yield Check("classes", "passed", f"{len(classes.labels.names)}: {several(classes.labels.names)}")
    sides = [_spread(rows.train), _spread(rows.evaluation)]
    sampled = (
        f"a sample of {MOST_ROWS:,} rows" if max(map(len, (rows.train, rows.evaluation))) > MOST_ROWS else "all rows"
    )
    if tokenizer is None:
        characters: list[int] = []
        for row in (row for side in sides for row in side):
            with rows.bad.looking_at(row):
                characters += [sum(len(piece.text) for piece in maker.segments(part)) for part in maker.rendered(row)]
        _refuse_mostly_bad(rows.bad, sides)
        yield _fits(template, strategy, sampled)
        found = f"median {_median(characters):,} characters, longest {max(characters):,}"
        yield Check("lengths", "passed", found + "; tokens can be counted once the base model's tokenizer is here")
        return
    train, evaluation = (maker.prepare(side) for side in sides)
    _refuse_mostly_bad(rows.bad, sides)
    yield _fits(template, strategy, sampled)
    if template is not None and (warning := forged_turns((row for side in sides for row in side), tokenizer)):
        yield Check("control tokens", "warning", warning.message, warning.remedy or "")
    yield from _check_lengths(train, evaluation, maker)
    if strategy.dataset.on_faulty_data == "stop":
        for fault in cuts(train, maker):
            yield Check("answers cut", "failed", fault.what, f"{fault.remedy}, {GO_ON}")


def _refuse_mostly_bad(bad: BadRows, sides: Sequence[StoredRows]) -> None:
    for side in sides:
        bad.without(side)


def _fits(template: PromptTemplate | None, strategy: Strategy, sampled: str) -> Check:
    what = "the column text is there" if template is None else f"the columns fit {strategy.prompt_template.type!r}"
    return Check("prompt template", "passed", f"{what} in {sampled}")


def _check_lengths(train: Prepared, evaluation: Prepared, maker: ExampleMaker) -> Iterator[Check]:
    lengths, most = [*train.lengths, *evaluation.lengths], maker.max_length
    remedy = "raise data_preprocessing.max_length, or shorten the prompts"
    if lengths:
        found = f"median {_median(lengths):,} tokens, longest {max(lengths):,}, limit {most:,}"
        learned = f"; {train.learned_tokens / train.tokens:.0%} are learned" if train.learned_tokens else ""
        yield Check("lengths", "passed", found + learned)
    if dropped := [*train.dropped, *evaluation.dropped]:
        count = len(train.dropped)
        useless = not train.examples or count > TOO_MANY_DROPPED * (count + len(train.examples))
        lose = plural(len(dropped), "row loses", "rows lose")
        found = f"{lose} {train.lost} to the limit of {most:,}: {listed(dropped)}"
        yield Check("rows too long", "failed" if useless else "warning", found, remedy)
    if truncated := [*train.truncated, *evaluation.truncated]:
        limit = rows_cut_by(train if train.truncated else evaluation, maker)
        found = f"{plural(len(truncated), 'row is', 'rows are')} cut at {limit.told}: {listed(truncated)}"
        yield Check("rows cut", "warning", found, f"raise {limit.where}, or shorten the rows")


def _spread(rows: StoredRows) -> StoredRows:
    """All of them, or MOST_ROWS at equal distances."""
    count = min(len(rows), MOST_ROWS)
    return rows.only(number * len(rows) // count for number in range(count))


def _median(values: Sequence[int]) -> int:
    return int(statistics.median(values))
