"""The stage `train`: rows, clean rows, examples, a trained model, its exports, and a page that says what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
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
    MicroBatchShrunk,
    StageStarted,
    TrainingStarted,
    Warned,
)
from furrow.components.fine_tuner import SamplePrompt, TrainingRequest
from furrow.components.model_folder import STRATEGY_FILE, recognise
from furrow.components.prompt_template import PromptTemplate
from furrow.components.publish import publish_text
from furrow.components.records import Row
from furrow.stages import wire
from furrow.stages.classification_examples import counted
from furrow.stages.examples import ExampleMaker, Prepared, classes_of, objective_of
from furrow.stages.export import export_all, general_probes, probes_from, wanted
from furrow.stages.prepared import TOO_MANY_DROPPED
from furrow.stages.report import write_report
from furrow.stages.resume import go_on
from furrow.stages.rows import Rows, load_rows
from furrow.stages.run import RunFolder, versions
from furrow.stages.run_record import Record, read_record
from furrow.stages.samples import sample_prompts
from furrow.stages.shown import Shown, shown
from furrow.stages.watching import watched
from furrow.strategies.files import Loaded, filled_yaml
from furrow.strategies.schema import Strategy


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


def train(loaded: Loaded, *, overwrite: bool, resume: Path | None = None, emit: Emit) -> RunFolder:
    """Runs the strategy and returns its folder. Data and device are verified before anything is replaced.

    `resume` goes on with an interrupted run, from this checkpoint or (resume.NEWEST) from the newest whole one.
    """
    strategy = loaded.strategy
    run = RunFolder(strategy.output_dir, resumes=getattr(strategy.fine_tuner.config, "resumes", True))
    if resume is None:
        run.refuse_earlier(overwrite)
    else:
        run.require_unfinished()
    before: list[Event] = []  # what happens before the folder is claimed belongs to the run's record too
    events = EventStream(emit)
    tuner = wire.fine_tuner(strategy)
    tuner.verify()
    tuner.start()  # the model is loaded while the rows are tokenised
    data = prepare(loaded, tuner.tokenizer, EventStream(emit, before.append))
    filled, facts = filled_yaml(strategy), _facts(strategy, data)
    with ExitStack() as stack:
        stack.enter_context(run.claim(overwrite=overwrite, resume=resume is not None))
        checkpoint = None
        if resume is not None:
            checkpoint = go_on(run, resume, filled, facts["data"], EventStream(emit, before.append))
            facts["resumed_from"] = [*run.read_manifest().get("resumed_from", []), checkpoint.name]
        stack.enter_context(watched(strategy, run, events, before))
        publish_text(run.strategy, filled)
        run.write_manifest({**facts, "finished": False})
        request = TrainingRequest(
            train=data.train.examples,
            evaluation=data.evaluation.examples,
            order_seed=order_seed_of(strategy),
            checkpoints=run.checkpoints,
            final_model=run.final_model,
            beside={STRATEGY_FILE: filled},
            max_length=data.maker.max_length,
            labels=data.maker.classes.labels.names if data.maker.classes else (),
            samples=_samples(strategy, data),
            resume=checkpoint,
        )
        found = _Found(read_record(run.metrics).named("micro_batch_shrunk") if resume is not None else ())
        events.subscribe(found)
        tuner.train(request, events)
        template = data.maker.template or _plain_template(strategy, tuner.tokenizer)
        if template is not None:
            probes = probes_from(data.asked, template) if data.maker.template else []
            probes = probes or general_probes(template)
            replace = overwrite or resume is not None  # what was exported before the run was cut off
            export_all(strategy, recognise(run.final_model), template, probes, run.exports, events, overwrite=replace)
        run.write_manifest({**facts, **found.facts, "finished": True})
        write_report(run, strategy)
    return run


def prepare(loaded: Loaded, tokenizer: Any, emit: Emit) -> TrainingData:
    """Everything up to the examples: what a dry run shows and a run trains on."""
    strategy = loaded.strategy
    emit(StageStarted(stage="reading the data"))
    rows = load_rows(loaded, emit)
    template = None if objective_of(strategy) == "pretrain" else wire.prompt_template(strategy, tokenizer)
    classes = classes_of(strategy, rows.train)
    maker = ExampleMaker(template, tokenizer, strategy.data_preprocessing, objective_of(strategy), classes)
    train_rows, evaluation = maker.prepare(rows.train), maker.prepare(rows.evaluation)
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


def order_seed_of(strategy: Strategy) -> int | None:
    """The seed of the rows' order: `data_preprocessing.seed`, else the training's; None for the order of the file."""
    limits = strategy.data_preprocessing
    if not limits.shuffle:
        return None
    config = strategy.fine_tuner.config
    if limits.seed is not None and "data_preprocessing.seed" not in config.idle:
        return limits.seed
    return int(getattr(getattr(config, "training_args", None), "seed", 42))


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
    for listed, what in ((prepared.dropped, f"dropped: {prepared.lost} is beyond"), (prepared.truncated, "cut at")):
        if listed:
            shown = ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "")
            emit(
                Warned(
                    message=f"{len(listed)} of {rows} rows {what} {max_length} tokens: {shown}",
                    remedy="raise data_preprocessing.max_length",
                )
            )


def _samples(strategy: Strategy, data: TrainingData) -> list[SamplePrompt]:
    """The prompts to watch; none where the model learns to judge and not to answer."""
    if objective_of(strategy) in ("classification", "reward"):
        return []
    arguments = getattr(strategy.fine_tuner.config, "training_args", None)
    evaluates = bool(data.evaluation.examples) and getattr(arguments, "eval_strategy", "no") != "no"
    return sample_prompts(strategy.monitoring.samples, data.asked, data.maker.template, evaluates=evaluates)


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


class _Found:
    """Collects what only the run itself finds out, for the manifest: how large a micro-batch may be on this machine,
    what was exported, and how that compares with the model. `shrunk`: what the run noted before it was cut off."""

    def __init__(self, shrunk: Sequence[Record] = ()) -> None:
        self.facts: dict[str, Any] = {"exports": []}
        if shrunk:
            self.facts["memory_ran_out"] = [{"step": event["step"], "tokens": event["was"]} for event in shrunk]
        self._verified: list[ExportVerified] = []

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted():
                self.facts["micro_batch_tokens"] = event.micro_batch_tokens
            case MicroBatchShrunk():
                self.facts["micro_batch_tokens"] = event.tokens
                self.facts.setdefault("memory_ran_out", []).append({"step": event.step, "tokens": event.was})
            case ExportVerified():
                self._verified.append(event)
            case Exported():
                figures = [vars(verified) for verified in self._verified]
                made = {"format": event.format, "path": event.path, "bytes": event.bytes, "verified": figures}
                self.facts["exports"].append(made)
                self._verified = []


def dry_run(loaded: Loaded, count: int, emit: Emit) -> tuple[TrainingData, list[Shown]]:
    """The data as the model will see it: every sequence of the first `count` rows, in order."""
    tokenizer = wire.fine_tuner(loaded.strategy).tokenizer
    data = prepare(loaded, tokenizer, emit)
    return data, [each for example in data.train.examples[:count] for each in shown(example, tokenizer)]
