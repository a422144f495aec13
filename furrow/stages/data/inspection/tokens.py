"""What the model would see of the rows: how many tokens, how many of them learned, what is cut, what is padding."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from furrow.components.plural import plural
from furrow.components.records import Row
from furrow.components.stored.examples import ExampleWriter, StoredExamples
from furrow.stages.data.cut_by import CutBy, answers_cut_by, prompts_cut_by
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.faulty import MOST_CUT
from furrow.stages.data.inspection.figures import lengths_of, padding
from furrow.stages.data.inspection.findings import Finding, Lengths, Severity, TokenFigures
from furrow.stages.data.places import Places
from furrow.stages.data.prepared import Prepared
from furrow.stages.data.rows import Rows
from furrow.strategies.schema import Strategy

_MOST_PADDING = 0.5


def tokens_of(
    rows: Rows, maker: ExampleMaker, strategy: Strategy
) -> tuple[TokenFigures, Lengths | None, list[Finding]]:
    """Figures of the training rows, their lengths, and what is wrong with the lengths of either side."""
    with tempfile.TemporaryDirectory(prefix="furrow-inspect-") as folder:
        train, evaluation = (
            _prepared(maker, side, Path(folder) / name)
            for side, name in ((rows.train, "train"), (rows.evaluation, "evaluation"))
        )
        return _judged(train, evaluation, maker, strategy, _whole(rows.train, train, maker))


def _whole(rows: Sequence[Row], prepared: Prepared, maker: ExampleMaker) -> np.ndarray:
    """Tokens of each row before anything is cut."""
    shorter = {*prepared.truncated, *prepared.dropped}
    assert isinstance(prepared.examples, StoredExamples)
    if not shorter:
        return prepared.examples.lengths.astype(np.int64)
    whole = [
        sum(len(each.input_ids) for each in row.sequences) for row in prepared.examples if row.where not in shorter
    ]
    cut = [sum(len(each.input_ids) for each, _ in maker.uncut(row)) for row in rows if row.where in shorter]
    return np.array([*whole, *cut], dtype=np.int64)


def _prepared(maker: ExampleMaker, rows: Sequence[Row], folder: Path) -> Prepared:
    writer = ExampleWriter(folder)
    prepared = maker.prepare(rows, into=writer)
    return dataclasses.replace(prepared, examples=writer.finish())


def _judged(
    prepared: Prepared, evaluation: Prepared, maker: ExampleMaker, strategy: Strategy, whole: np.ndarray
) -> tuple[TokenFigures, Lengths | None, list[Finding]]:
    assert isinstance(prepared.examples, StoredExamples)
    lengths = prepared.examples.lengths.astype(np.int64)
    arguments: Any = getattr(strategy.fine_tuner.config, "training_args", None)
    batch_rows = int(getattr(arguments, "per_device_train_batch_size", 1))
    step_rows = batch_rows * int(getattr(arguments, "gradient_accumulation_steps", 1))
    shuffled, by_length = padding(lengths, batch_rows)
    figures = TokenFigures(
        max_length=maker.max_length,
        tokens=prepared.tokens,
        learned=prepared.learned_tokens,
        truncated=len(prepared.truncated),
        cut_answers=len(prepared.cut_answers),
        dropped=len(prepared.dropped),
        padding=shuffled,
        padding_sorted=by_length,
        batch_rows=batch_rows,
        steps=-(-len(prepared.examples) // step_rows) if arguments is not None else 0,
    )
    findings = [*_of_lengths(prepared, maker), *_of_batches(figures, len(lengths))]
    if len(evaluation.examples):
        findings += _of_lengths(evaluation, maker, " to evaluate on")
    return figures, lengths_of("row", "tokens", whole), findings


def _of_lengths(prepared: Prepared, maker: ExampleMaker, side: str = "") -> Iterator[Finding]:
    learns = not maker.classes
    total = len(prepared.examples) + len(prepared.dropped)
    if learns and total and not prepared.learned_tokens:
        yield Finding(
            "no_learned_token", "error", f"no token of the {plural(total, 'row')}{side} is learned", [], "", (), total
        )
    prompts = _others(prepared.truncated, prepared.cut_answers)
    dropped = f"{prepared.lost} to max_length {maker.max_length:,}, to be dropped"
    for rule, places, said, limit in (
        ("dropped_rows", prepared.dropped, dropped, CutBy({"max_length": maker.max_length})),
        ("cut_answers", prepared.cut_answers, "a part of their answer to {}", answers_cut_by(prepared, maker)),
        ("cut_prompts", prompts, "a part of their prompt to {}", prompts_cut_by(prepared, maker)),
    ):
        if places:
            lost = said.replace("{}", limit.told)
            lose = "loses" if len(places) == 1 else "lose"
            message = f"{len(places):,} of {plural(total, 'row')}{side} {lose} {lost}: {len(places) / total:.1%}"
            grave = rule == "cut_answers" and len(places) > MOST_CUT * total
            severity: Severity = "error" if grave else "warning"
            yield Finding(rule, severity, message, places, f"{limit.where}: raise it, or split long rows")


def _of_batches(figures: TokenFigures, rows: int) -> Iterator[Finding]:
    if figures.padding_sorted > _MOST_PADDING and rows > figures.batch_rows:
        message = f"{figures.padding_sorted:.0%} of a batch of {figures.batch_rows} rows is padding"
        yield Finding("padding", "note", message, [], "training_args.packing: true", (), rows)


def _others(places: Places, without: Places) -> Places:
    left_out = set(without)
    return Places(place for place in places if place not in left_out)
