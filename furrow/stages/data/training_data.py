"""The data of a run, ready to be learned: rows, and the examples made of them, with what there is to say of both.

Both are kept (cache.py): the next run with the same files and settings finds them, and says what this one said.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast, overload

import numpy as np

from furrow.components import progress
from furrow.components.errors import RequestError
from furrow.components.events import DataPrepared, Emit, Noted, StageStarted, Warned, listed
from furrow.components.plural import plural
from furrow.components.records import Row, longest
from furrow.components.stored.examples import ExampleWriter, StoredExamples
from furrow.stages.data import kept_examples
from furrow.stages.data.cache import Cache, Held
from furrow.stages.data.cache_keys import examples_key, rows_key
from furrow.stages.data.classification_examples import counted
from furrow.stages.data.control_tokens import forged_turns
from furrow.stages.data.cut_by import CutBy, rows_cut_by
from furrow.stages.data.examples import ExampleMaker, Prepared, maker_for
from furrow.stages.data.faulty import faults_of, judge
from furrow.stages.data.gather import identities, try_beginnings
from furrow.stages.data.inspection.glance import glance
from furrow.stages.data.missing import refuse_missing
from furrow.stages.data.mixing import mixed
from furrow.stages.data.prepared import TOO_MANY_DROPPED
from furrow.stages.data.rows import Rows, load_rows
from furrow.strategies.files import Loaded
from furrow.strategies.schema import Strategy


@dataclass(frozen=True)
class TrainingData:
    """Rows and the examples made of them."""

    rows: Rows
    train: Prepared
    evaluation: Prepared
    maker: ExampleMaker
    held: Held
    """Keeps the folder in which the examples lie."""

    @property
    def asked(self) -> Sequence[Row]:
        """Rows to put to the model: those it is measured on, else the learned ones; of two answers the better one."""
        return _Rendered(self.rows.evaluation or self.rows.train, self.maker)

    def publish_dropped(self, folder: Path) -> Noted | None:
        """Writes what was dropped, and why, into the run folder. None where nothing was."""
        sides = (self.train, self.evaluation)
        too_long = (
            {"where": where, "rule": "max_length", "reason": f"{each.lost} is beyond {self.maker.max_length} tokens"}
            for each in sides
            for where in each.dropped
        )
        file = self.rows.dropped.publish(folder, too_long)
        count = len(self.rows.dropped) + sum(len(each.dropped) for each in sides)
        return (
            None if file is None else Noted(message=f"{plural(count, 'row')} dropped, each with the reason in {file}")
        )

    @property
    def labels(self) -> list[str] | None:
        """The classes of a classifier, in the order of their numbers."""
        return list(self.maker.classes.labels.names) if self.maker.classes else None


def read_rows(loaded: Loaded, emit: Emit) -> Rows:
    """Reads and cleans them, and says so; or finds them read and cleaned."""
    emit(StageStarted(stage="reading the data"))
    refuse_missing(loaded)
    try_beginnings(loaded.strategy)
    sums = identities(loaded.strategy.dataset, emit)
    key = rows_key(loaded, sums)

    def make(folder: Path, say: Emit) -> str | None:
        rows = load_rows(loaded, say, folder)
        rows.save(folder)
        return None if rows.files == sums else "a file was written to while it was read"

    held = Cache.of(loaded.strategy.dataset).provide("rows", key, _named(sums), make, emit)
    rows = Rows.load(held.path)
    rows.key, rows.held = None if key is None else f"{key} {held.content}", held
    return rows


def prepare(loaded: Loaded, tokenizer: Any, emit: Emit, rows: Rows | None = None) -> TrainingData:
    """Everything up to the examples: what a dry run shows and a run trains on. `rows`: where they are read already."""
    strategy = loaded.strategy
    rows = read_rows(loaded, emit) if rows is None else rows
    key = examples_key(loaded, rows.key, tokenizer)

    def make(folder: Path, say: Emit) -> None:
        _make_examples(strategy, tokenizer, rows, folder, say)

    held = Cache.of(strategy.dataset).provide("examples", key, _named(rows.files), make, emit)
    _say_found(rows.held, held, emit)
    kept = kept_examples.load(held.path, rows)
    maker = maker_for(strategy, tokenizer, rows, kept.classes)
    faults = faults_of(rows, kept.train, kept.evaluation, maker)
    if faults and strategy.dataset.on_faulty_data == "stop" and (set_aside := rows.bad.event()):
        emit(set_aside)  # a run that begins says it with the file that holds them
    judge(strategy.dataset, faults, emit)
    if len(rows.evaluation) and _evaluates(strategy) == "no":
        kept_apart = plural(len(rows.evaluation), "row is", "rows are")
        emit(
            Warned(
                message=f"{kept_apart} kept to evaluate on, and eval_strategy is no",
                remedy="set training_args.eval_strategy to epoch or steps, or leave the evaluation data out",
            )
        )
    rows.train.give_back()
    train, evaluation = mixed(strategy, _stored(kept.train), _stored(kept.evaluation), emit)
    return TrainingData(
        rows, replace(kept.train, examples=train), replace(kept.evaluation, examples=evaluation), maker, held
    )


def _make_examples(strategy: Strategy, tokenizer: Any, rows: Rows, folder: Path, emit: Emit) -> None:
    """Writes them into `folder`, and says what became of the rows."""
    maker = maker_for(strategy, tokenizer, rows)
    rows.leave_out_bad()
    train, evaluation = (_side(maker, side, folder / name, emit) for side, name in _sides(rows))
    rows.leave_out_bad()
    if maker.template is not None and (
        warning := forged_turns(itertools.chain(rows.train, rows.evaluation), tokenizer)
    ):
        emit(warning)
    _judge_lengths(train, maker, emit)
    if len(rows.evaluation):
        _judge_lengths(evaluation, maker, emit)
    if maker.classes is not None:
        for event in counted(maker.classes.labels, train.examples, evaluation.examples):
            emit(event)
    emit(
        DataPrepared(
            train_rows=len(train.examples),
            eval_rows=len(evaluation.examples),
            train_tokens=train.tokens,
            learned_tokens=train.learned_tokens,
            truncated_rows=len(train.truncated) + len(evaluation.truncated),
            dropped_rows=len(train.dropped) + len(evaluation.dropped) + rows.flawed,
            duplicate_rows=rows.duplicates,
            read_rows=rows.bad.seen,
            set_aside_rows=len(rows.bad.found),
            median_tokens=int(np.median(_stored(train).lengths)),
            longest_tokens=longest(train.examples),
            max_length=maker.max_length,
            cut_answers=len(train.cut_answers),
            sets=max(1, len(strategy.dataset.mix)),
        )
    )
    for warning in glance(rows):
        emit(warning)
    kept_examples.save(folder, rows, train, evaluation, maker.classes)


def _sides(rows: Rows) -> list[tuple[Sequence[Row], str]]:
    return list(zip((rows.train, rows.evaluation), kept_examples.SIDES, strict=True))


def _side(maker: ExampleMaker, rows: Sequence[Row], folder: Path, emit: Emit) -> Prepared:
    writer = ExampleWriter(folder)
    prepared = maker.prepare(progress.counted(rows, emit, "tokenising rows", len(rows)), into=writer)
    return replace(prepared, examples=writer.finish())


def _stored(prepared: Prepared) -> StoredExamples:
    return cast(StoredExamples, prepared.examples)


def _say_found(rows: Held | None, examples: Held, emit: Emit) -> None:
    """Which of it was there already."""
    if examples.found:
        emit(Noted(message=f"the data was found prepared ({examples.path})"))
    elif rows is not None and rows.found:
        emit(Noted(message=f"the rows were found read and cleaned ({rows.path})"))


def _evaluates(strategy: Strategy) -> str:
    return str(getattr(getattr(strategy.fine_tuner.config, "training_args", None), "eval_strategy", ""))


def _named(files: dict[str, Any]) -> str:
    return ", ".join(str(each["path"]) for each in files.values())


class _Rendered(Sequence[Row]):
    """Rows as the template renders them, each when it is asked for."""

    def __init__(self, rows: Sequence[Row], maker: ExampleMaker) -> None:
        self._rows, self._maker = rows, maker

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return list(map(self._of, self._rows[place]))
        return self._of(self._rows[place])

    def __iter__(self) -> Iterator[Row]:
        return map(self._of, self._rows)

    def _of(self, row: Row) -> Row:
        return self._maker.rendered(row)[0]


def _judge_lengths(prepared: Prepared, maker: ExampleMaker, emit: Emit) -> None:
    max_length = maker.max_length
    rows = len(prepared.examples) + len(prepared.dropped)  # a pair is two of kto's
    if not prepared.examples:
        raise RequestError(
            f"no row is left: max_length {max_length} cuts every answer away",
            where="data_preprocessing.max_length",
            remedy="raise it",
        )
    if len(prepared.dropped) > TOO_MANY_DROPPED * rows:
        raise RequestError(
            f"{len(prepared.dropped):,} of {plural(rows, 'row')} lose {prepared.lost} to max_length {max_length:,} "
            f"(first: {prepared.dropped[0]})",
            where="data_preprocessing.max_length",
            remedy="raise it, or shorten the prompts",
        )
    beyond = CutBy({"max_length": max_length})
    for places, what, limit in (
        (prepared.dropped, f"dropped: {prepared.lost} is beyond", beyond),
        (prepared.truncated, "cut at", rows_cut_by(prepared, maker)),
    ):
        if places:
            message = f"{len(places):,} of {plural(rows, 'row')} {what} {limit.told}: {listed(places)}"
            emit(Warned(message=message, remedy=f"raise {limit.where}"))
