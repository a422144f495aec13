"""The stage `train`: rows, clean rows, examples, a trained model, its exports, and a page that says what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.events import (
    DataPrepared,
    Emit,
    Event,
    EventStream,
    Exported,
    ExportVerified,
    StageStarted,
    Warned,
)
from furrow.components.model_folder import STRATEGY_FILE, recognise
from furrow.components.prompt_template import PromptTemplate
from furrow.components.registry import factory, find
from furrow.stages import wire
from furrow.stages.examples import ExampleMaker, Prepared
from furrow.stages.export import export_all, general_probes, probes_from, wanted
from furrow.stages.report import write_report
from furrow.stages.rows import Rows, load_rows
from furrow.stages.run import RunFolder, versions
from furrow.strategies.files import Loaded, filled_yaml
from furrow.strategies.schema import Strategy

TOO_MANY_DROPPED = 0.5
"""More than this share of the rows losing their whole answer is no data set with a few long rows but a wrong limit."""


@dataclass(frozen=True)
class TrainingData:
    """Rows and the examples made of them."""

    rows: Rows
    train: Prepared
    evaluation: Prepared
    maker: ExampleMaker


def train(loaded: Loaded, *, overwrite: bool, emit: Emit) -> RunFolder:
    """Runs the strategy and returns its folder. Data and device are verified before anything is replaced."""
    strategy = loaded.strategy
    run = RunFolder(strategy.output_dir)
    run.refuse_finished(overwrite)
    before: list[Event] = []  # what happens before the folder is claimed belongs to the run's record too
    events = EventStream(emit)
    tuner = wire.fine_tuner(strategy)
    tuner.verify()
    data = prepare(loaded, tuner.tokenizer, EventStream(emit, before.append))
    with run.claim(overwrite=overwrite), _tracked(strategy, run, events, before):
        filled = filled_yaml(strategy)
        run.strategy.write_text(filled, encoding="utf-8")
        facts = _facts(strategy, data)
        run.write_manifest({**facts, "finished": False})
        tuner.train(
            data.train.examples,
            data.evaluation.examples,
            order_seed=order_seed_of(strategy),
            checkpoints=run.checkpoints,
            final_model=run.final_model,
            beside={STRATEGY_FILE: filled},
            emit=events,
        )
        exports = _Exports()
        events.subscribe(exports)
        template = data.maker.template or _plain_template(strategy, tuner.tokenizer)
        if template is not None:
            probes = probes_from(data.rows.evaluation or data.rows.train, template) if data.maker.template else []
            probes = probes or general_probes(template)
            export_all(strategy, recognise(run.final_model), template, probes, run.exports, events, overwrite=overwrite)
        run.write_manifest({**facts, "exports": exports.made, "finished": True})
        write_report(run, strategy)
    return run


def prepare(loaded: Loaded, tokenizer: Any, emit: Emit) -> TrainingData:
    """Everything up to the examples: what a dry run shows and a run trains on."""
    strategy = loaded.strategy
    emit(StageStarted(stage="reading the data"))
    rows = load_rows(loaded, emit)
    template = None if objective_of(strategy) == "pretrain" else wire.prompt_template(strategy, tokenizer)
    maker = ExampleMaker(template, tokenizer, strategy.data_preprocessing)
    train_rows, evaluation = maker.prepare(rows.train), maker.prepare(rows.evaluation)
    _judge_lengths(train_rows, len(rows.train), maker.max_length, emit)
    if rows.evaluation:
        _judge_lengths(evaluation, len(rows.evaluation), maker.max_length, emit)
        if getattr(getattr(strategy.fine_tuner.config, "training_args", None), "eval_strategy", "") == "no":
            emit(
                Warned(
                    message=f"{len(rows.evaluation)} rows are kept to evaluate on, and eval_strategy is no",
                    remedy="set training_args.eval_strategy to epoch or steps, or leave the evaluation data out",
                )
            )
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


def objective_of(strategy: Strategy) -> str:
    """`sft` or `pretrain`; a fine-tuner of another package that knows no objective tunes on answers."""
    return str(getattr(getattr(strategy.fine_tuner.config, "objective", None), "type", "sft"))


def order_seed_of(strategy: Strategy) -> int | None:
    """The seed of the rows' order: `data_preprocessing.seed`, else the training's; None for the order of the file."""
    limits = strategy.data_preprocessing
    if not limits.shuffle:
        return None
    if limits.seed is not None:
        return limits.seed
    return int(getattr(getattr(strategy.fine_tuner.config, "training_args", None), "seed", 42))


def _judge_lengths(prepared: Prepared, rows: int, max_length: int, emit: Emit) -> None:
    if not prepared.examples:
        raise RequestError(
            f"no row is left: max_length {max_length} cuts every answer away",
            where="data_preprocessing.max_length",
            remedy="raise it",
        )
    if len(prepared.dropped) > TOO_MANY_DROPPED * rows:
        raise RequestError(
            f"{len(prepared.dropped)} of {rows} rows lose their whole answer to max_length {max_length} "
            f"(first: {prepared.dropped[0]})",
            where="data_preprocessing.max_length",
            remedy="raise it, or shorten the prompts",
        )
    for listed, what in ((prepared.dropped, "dropped: their whole answer is beyond"), (prepared.truncated, "cut at")):
        if listed:
            shown = ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")
            emit(
                Warned(
                    message=f"{len(listed)} of {rows} rows {what} {max_length} tokens: {shown}",
                    remedy="raise data_preprocessing.max_length",
                )
            )


@contextmanager
def _tracked(strategy: Strategy, run: RunFolder, events: EventStream, before: list[Event]) -> Iterator[None]:
    """Subscribes the strategy's trackers for the length of the run, and tells them what happened before it."""
    with ExitStack() as stack:
        for name in wire.trackers(strategy.monitoring):
            component = find("tracker", name)
            tracker = factory(component)(component.config(), run.path)
            stack.callback(tracker.close)
            for event in before:
                tracker(event)
            events.subscribe(tracker)
        yield


def _plain_template(strategy: Strategy, tokenizer: Any) -> PromptTemplate | None:
    """The template that an export of plainly pre-trained weights carries; None where nothing is exported."""
    return wire.prompt_template(strategy, tokenizer) if wanted(strategy.export, strategy.model_name, Path()) else None


def _facts(strategy: Strategy, data: TrainingData) -> dict[str, Any]:
    return {
        "strategy": strategy.key,
        "strategy_sha256": hashlib.sha256(filled_yaml(strategy).encode()).hexdigest(),
        "seed": order_seed_of(strategy),
        "versions": versions(),
        "data": {**data.rows.files, "train_rows": len(data.rows.train), "eval_rows": len(data.rows.evaluation)},
    }


class _Exports:
    """Collects what was exported, with the figures of its comparison, for the manifest."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self._verified: list[ExportVerified] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, ExportVerified):
            self._verified.append(event)
        if isinstance(event, Exported):
            figures = [vars(verified) for verified in self._verified]
            self.made.append({"format": event.format, "path": event.path, "bytes": event.bytes, "verified": figures})
            self._verified = []


def dry_run(loaded: Loaded, count: int, emit: Emit) -> tuple[TrainingData, list[list[tuple[str, bool]]]]:
    """The data as the model will see it: the first `count` rows as (token's text, is learned), in order."""
    tokenizer = wire.fine_tuner(loaded.strategy).tokenizer
    data = prepare(loaded, tokenizer, emit)
    shown = [
        [
            (tokenizer.decode([token]), learned)
            for token, learned in zip(example.input_ids, example.learned, strict=True)
        ]
        for example in data.train.examples[:count]
    ]
    return data, shown
