"""The data of a run, ready to be learned: rows, and the examples made of them, with what there is to say of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.events import DataPrepared, Emit, StageStarted, Warned, listed
from furrow.components.records import Row
from furrow.stages import wire
from furrow.stages.data.classification_examples import counted
from furrow.stages.data.control_tokens import forged_turns
from furrow.stages.data.examples import ExampleMaker, Prepared, classes_of, objective_of
from furrow.stages.data.prepared import TOO_MANY_DROPPED
from furrow.stages.data.rows import Rows, load_rows
from furrow.strategies.files import Loaded


@dataclass(frozen=True)
class TrainingData:
    """Rows and the examples made of them."""

    rows: Rows
    train: Prepared
    evaluation: Prepared
    maker: ExampleMaker

    @property
    def asked(self) -> list[Row]:
        """Rows to put to the model: those it is measured on, else the learned ones; of two answers the better one."""
        return [self.maker.rendered(row)[0] for row in self.rows.evaluation or self.rows.train]

    @property
    def labels(self) -> list[str] | None:
        """The classes of a classifier, in the order of their numbers."""
        return list(self.maker.classes.labels.names) if self.maker.classes else None


def read_rows(loaded: Loaded, emit: Emit) -> Rows:
    """Reads and cleans them, and says so."""
    emit(StageStarted(stage="reading the data"))
    return load_rows(loaded, emit)


def prepare(loaded: Loaded, tokenizer: Any, emit: Emit, rows: Rows | None = None) -> TrainingData:
    """Everything up to the examples: what a dry run shows and a run trains on. `rows`: where they are read already."""
    strategy = loaded.strategy
    rows = read_rows(loaded, emit) if rows is None else rows
    template = None if objective_of(strategy) == "pretrain" else wire.prompt_template(strategy, tokenizer)
    classes = classes_of(strategy, rows)
    maker = ExampleMaker(template, tokenizer, strategy.data_preprocessing, objective_of(strategy), classes, rows.bad)
    rows.leave_out_bad()
    train_rows, evaluation = maker.prepare(rows.train), maker.prepare(rows.evaluation)
    rows.leave_out_bad()
    if template is not None and (warning := forged_turns([*rows.train, *rows.evaluation], tokenizer)):
        emit(warning)
    _judge_lengths(train_rows, maker.max_length, emit)
    if rows.evaluation:
        _judge_lengths(evaluation, maker.max_length, emit)
        if getattr(getattr(strategy.fine_tuner.config, "training_args", None), "eval_strategy", "") == "no":
            emit(
                Warned(
                    message=f"{len(rows.evaluation)} rows are kept to evaluate on, and eval_strategy is no",
                    remedy="set training_args.eval_strategy to epoch or steps, or leave the evaluation data out",
                )
            )
    if classes is not None:
        for event in counted(classes.labels, train_rows.examples, evaluation.examples):
            emit(event)
    emit(
        DataPrepared(
            train_rows=len(train_rows.examples),
            eval_rows=len(evaluation.examples),
            train_tokens=train_rows.tokens,
            learned_tokens=train_rows.learned_tokens,
            truncated_rows=len(train_rows.truncated) + len(evaluation.truncated),
            dropped_rows=len(train_rows.dropped) + len(evaluation.dropped) + len(rows.dropped),
            duplicate_rows=rows.duplicates,
        )
    )
    return TrainingData(rows, train_rows, evaluation, maker)


def _judge_lengths(prepared: Prepared, max_length: int, emit: Emit) -> None:
    rows = len(prepared.examples) + len(prepared.dropped)  # a pair is two of kto's
    if not prepared.examples:
        raise RequestError(
            f"no row is left: max_length {max_length} cuts every answer away",
            where="data_preprocessing.max_length",
            remedy="raise it",
        )
    if len(prepared.dropped) > TOO_MANY_DROPPED * rows:
        raise RequestError(
            f"{len(prepared.dropped)} of {rows} rows lose {prepared.lost} to max_length {max_length} "
            f"(first: {prepared.dropped[0]})",
            where="data_preprocessing.max_length",
            remedy="raise it, or shorten the prompts",
        )
    for places, what in ((prepared.dropped, f"dropped: {prepared.lost} is beyond"), (prepared.truncated, "cut at")):
        if places:
            emit(
                Warned(
                    message=f"{len(places)} of {rows} rows {what} {max_length} tokens: {listed(places)}",
                    remedy="raise data_preprocessing.max_length",
                )
            )
