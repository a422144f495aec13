"""The stage `train`: rows, clean rows, examples, a trained model, its exports, and a page that says what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.events import Emit, Event, EventStream, Noted
from furrow.components.fine_tuner import FineTuner
from furrow.components.interruption import StopRequest, Unwound
from furrow.components.models.folder import recognise
from furrow.components.prompt_template import PromptTemplate
from furrow.stages import wire
from furrow.stages.data.augmenting import answers_kept
from furrow.stages.data.rows import Rows
from furrow.stages.data.shown import Shown
from furrow.stages.data.training_data import TrainingData, prepare, read_rows
from furrow.stages.export import export_all, general_probes, probes_from, wanted
from furrow.stages.preview import preview_of
from furrow.stages.reporting.report import write_report
from furrow.stages.run.changed import Changes
from furrow.stages.run.facts import RunFacts, facts_of, still_true
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.replay import replayed
from furrow.stages.run.request import request_for
from furrow.stages.run.resume import NEWEST, go_on, is_trained, require_longer, would_go_on
from furrow.stages.run.stopped import after_it_began, before_it_began
from furrow.stages.run.watchdog import watched_over
from furrow.stages.run.watching import watched
from furrow.strategies.containment import refuse_climbing_out
from furrow.strategies.files import Loaded
from furrow.strategies.schema import Strategy


def train(
    loaded: Loaded,
    *,
    overwrite: bool,
    resume: Path | None = None,
    allow: Sequence[str] = (),
    stop: StopRequest | None = None,
    emit: Emit,
) -> RunFolder:
    """Runs the strategy and returns its folder. Data and device are verified before anything is replaced.

    `resume` goes on with an interrupted run, from this checkpoint or (resume.NEWEST) from the newest whole one; one
    that is trained already only makes its exports. `allow` names what may have changed since it began. `stop` is how a
    signal or another thread ends the run.
    """
    strategy, stop, resuming = loaded.strategy, StopRequest() if stop is None else stop, resume is not None
    refuse_climbing_out(strategy, loaded.body)
    run = _folder_of(strategy)
    before: list[Event] = []  # what happens before there are trackers belongs to the run's record too
    early, events = EventStream(emit, before.append, stop.moved), EventStream(emit, stop.moved)
    with ExitStack() as stack:
        begins = stack.enter_context(before_it_began(run, stop, resuming, lambda: answers_kept(strategy)))
        stack.enter_context(run.claim(overwrite=overwrite, resume=resuming, emit=early))
        stack.enter_context(watched_over(run, stop, _hang_timeout(strategy)))
        job = _verified(loaded, run, resume, allow, early)
        stack.enter_context(run.begun(overwrite=overwrite, resume=resuming))
        with stop.heeding():  # half of it would be neither the run that lay here nor the one that is asked for
            checkpoint, facts = _begin(job, resume, early)
            stack.enter_context(watched(strategy, run, events, before, replayed(run.metrics) if resuming else ()))
        begins()
        stack.enter_context(after_it_began(run, events))
        if stop.signal is not None:
            raise Unwound(stop.signal)
        events.subscribe(facts)
        if not job.trained:
            job.tuner.train(request_for(strategy, job.data, run, checkpoint, stop), events)
            facts.write(finished=False)
        _export(job, stop, events, overwrite=overwrite or resuming)  # what was exported before the run was cut off
        with stop.heeding():  # a moment, after which nothing is left to be done
            facts.write(finished=False)
            write_report(run, strategy)
            facts.write(finished=True)
    return run


def _folder_of(strategy: Strategy) -> RunFolder:
    return RunFolder(strategy.output_dir, resumes=getattr(strategy.fine_tuner.config, "resumes", True))


@dataclass(frozen=True)
class _Job:
    """What is to be done, once it is known that it can be."""

    loaded: Loaded
    run: RunFolder
    tuner: FineTuner
    data: TrainingData
    changes: Changes
    trained: bool
    """Whether only exports are missing."""


def _verified(loaded: Loaded, run: RunFolder, resume: Path | None, allow: Sequence[str], emit: Emit) -> _Job:
    """Reads and compares everything, and changes nothing. The folder must be claimed."""
    tuner = wire.fine_tuner(loaded.strategy)
    tuner.verify()
    changes, rows, trained = (Changes(), None, False) if resume is None else _compared(loaded, run, resume, allow, emit)
    if not trained:
        tuner.start()  # the model is loaded while the rows are tokenised
    data = prepare(loaded, tuner.tokenizer, emit, rows)
    changes.require_same_classes(data.labels)
    if data.maker.template is not None and data.labels is None:  # a classifier is asked in plain text
        tuner.tokenizer.chat_template = data.maker.template.jinja()  # it is saved with the model, which knows no other
    return _Job(loaded, run, tuner, data, changes, trained)


def _compared(
    loaded: Loaded, run: RunFolder, resume: Path, allow: Sequence[str], emit: Emit
) -> tuple[Changes, Rows, bool]:
    """What has changed since the run began, its rows as they are now, and whether only exports are missing."""
    require_longer(run, loaded)
    trained = resume == NEWEST and is_trained(run, loaded)
    if not trained:
        run.require_resuming_tuner()
    rows = read_rows(loaded, emit)
    return Changes() if trained else Changes.since(run, loaded, rows, allow), rows, trained


def _begin(job: _Job, resume: Path | None, emit: Emit) -> tuple[Path | None, RunFacts]:
    """Makes the folder that of this run; returns the checkpoint to go on from, if any, and the facts."""
    run, known, checkpoint = job.run, facts_of(job.loaded, job.data), None
    if job.trained:
        known |= still_true(run.read_manifest())
        emit(Noted(message=f"the model is trained already ({run.final_model}); what is left are its exports"))
    elif resume is not None:
        checkpoint = go_on(run, resume, emit)
        known["resumed_from"] = [*run.read_manifest().get("resumed_from", []), checkpoint.name]
        known["changes"] = job.changes.follow(checkpoint, known["versions"], emit)
    facts = RunFacts(known, run, job.loaded, job.changes)
    if resume is not None:
        facts.recall()
    facts.begin()
    bad = job.data.rows.bad
    if set_aside := bad.event(bad.publish(run.path)):
        emit(set_aside)
    if dropped := job.data.publish_dropped(run.path):
        emit(dropped)
    return checkpoint, facts


def _export(job: _Job, stop: StopRequest, emit: Emit, *, overwrite: bool) -> None:
    """Makes what the strategy wants of the trained model."""
    strategy, run = job.loaded.strategy, job.run
    template = job.data.maker.template or _plain_template(strategy, job.tuner.tokenizer)
    if template is None:
        return
    if stop.signal is not None and wanted(strategy.export, strategy.model_name, run.exports):
        raise Unwound(stop.signal)
    probes = probes_from(job.data.asked, template) if job.data.maker.template else []
    source, probes = recognise(run.final_model), probes or general_probes(template)
    export_all(strategy, source, template, probes, run.exports, emit, overwrite=overwrite)


def _plain_template(strategy: Strategy, tokenizer: Any) -> PromptTemplate | None:
    """The template that an export of plainly pre-trained weights carries; None where nothing is exported."""
    return wire.prompt_template(strategy, tokenizer) if wanted(strategy.export, strategy.model_name, Path()) else None


def _hang_timeout(strategy: Strategy) -> float:
    """Seconds; 0 for a fine-tuner that has no such setting, of which nobody knows whether it shows that it moves."""
    return float(getattr(getattr(strategy.fine_tuner.config, "training_args", None), "hang_timeout_seconds", 0))


def dry_run(
    loaded: Loaded, count: int, emit: Emit, *, resume: Path | None = None, allow: Sequence[str] = ()
) -> tuple[TrainingData, list[Shown]]:
    """The data as the model will see it: every sequence of the first `count` rows, in order, as `preview` shows them.

    With `resume`, what `train` would refuse to go on with is refused; the run folder is read and not touched.
    """
    rows = None if resume is None else _would_go_on(loaded, resume, allow, emit)
    tokenizer = wire.fine_tuner(loaded.strategy).tokenizer
    data = prepare(loaded, tokenizer, emit, rows)
    if bad := data.rows.bad.event():
        emit(bad)
    return data, preview_of(data.rows, data.maker, count=count).rows


def _would_go_on(loaded: Loaded, resume: Path, allow: Sequence[str], emit: Emit) -> Rows:
    run = _folder_of(loaded.strategy)
    run.require_resumable()
    changes, rows, trained = _compared(loaded, run, resume, allow, emit)
    if trained:
        emit(Noted(message=f"the model is trained already ({run.final_model}); only its exports would be made"))
        return rows
    checkpoint = would_go_on(run, resume)
    changed = f"; changed since it began: {'; '.join(map(str, changes.found))}" if changes.found else ""
    emit(Noted(message=f"it would go on from {checkpoint.name}{changed}"))
    return rows
