"""The stage `inspect_data`: everything that can be told of the rows of a strategy before a model learns them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from furrow.components.base_models import BaseModelConfig
from furrow.components.errors import FurrowError
from furrow.components.events import Emit, StageStarted
from furrow.components.models.identity import folder_of
from furrow.components.plural import plural
from furrow.components.progress import counted
from furrow.components.tokens import control_tokens
from furrow.stages.data.control_tokens import WELL_KNOWN, holding
from furrow.stages.data.examples import maker_for, objective_of
from furrow.stages.data.inspection import judgement, unfit
from furrow.stages.data.inspection.copies import contradictions, copies_in
from furrow.stages.data.inspection.figures import lengths_of
from furrow.stages.data.inspection.findings import Finding, Inspection, RowFigures
from furrow.stages.data.inspection.labels import Labels
from furrow.stages.data.inspection.reading import Heard
from furrow.stages.data.inspection.survey import Survey
from furrow.stages.data.inspection.tokens import tokens_of
from furrow.stages.data.places import Places
from furrow.stages.data.rows import Rows, load_rows
from furrow.stages.data.split_advice import odd
from furrow.stages.setup_checks.tokenizer import light_tokenizer
from furrow.strategies.files import Loaded
from furrow.strategies.schema import Strategy

_ORDER = ("error", "warning", "note")


def inspect(loaded: Loaded, emit: Emit, tokenizer: Any = None) -> Inspection:
    """Reads the rows as `train` would (its filters, its split) and looks at all of them; changes nothing.

    Rows that cannot be used are findings, and end nothing. `tokenizer`: that of the base model; without one, the base
    model's own where it is on this machine. Where there is none, everything but tokens is told.

    Raises RequestError where there is no file, or none that could be read, or nothing is left of it.
    """
    strategy, heard = loaded.strategy, Heard(emit)
    emit(StageStarted(stage="reading the data"))
    rows = load_rows(_skipping(loaded), heard)
    both, learned = rows.both, len(rows.train)
    read = rows.bad.seen
    survey, labels = Survey(rows.bad), Labels(strategy)
    survey.see(counted(both, emit, "looking at rows", len(both)))
    labels.see(rows.train)
    copies = copies_in(both, learned, strategy.data_preprocessing.duplicate_similarity, emit)
    findings = [
        *judgement.of_left_out(rows.bad, rows.dropped, strategy),
        *judgement.of_rules(survey),
        *judgement.of_copies(both, survey, copies, len(rows.evaluation)),
        *judgement.of_contradictions(both, survey, contradictions(both, survey.asked, survey.answered)),
        *judgement.of_boilerplate(both, survey),
        *judgement.of_languages(survey),
        *labels.findings(),
        *heard.findings(),
        *(() if _has_names_of_its_own(strategy) else unfit.of_columns(both)),
        *_of_split(rows, loaded),
    ]
    lengths = [
        each
        for each in (
            lengths_of("row", "characters", survey.row_lengths),
            lengths_of("question", "characters", survey.question_lengths),
            lengths_of("answer", "characters", survey.answer_lengths) if survey.answers else None,
        )
        if each is not None
    ]
    inspection = Inspection(
        strategy.key,
        [str(file["path"]) for file in rows.files.values()],
        RowFigures(read, len(rows.bad.found), rows.flawed, rows.duplicates, learned, len(rows.evaluation)),
        dict(heard.layouts.most_common()),
        dict(survey.languages.most_common()),
        labels.counts,
        lengths,
    )
    return _with_tokens(inspection, findings, rows, loaded, tokenizer)


def _with_tokens(
    inspection: Inspection, findings: list[Finding], rows: Rows, loaded: Loaded, tokenizer: Any
) -> Inspection:
    """The same with figures of tokens, where there is a tokenizer, and its findings in order."""
    strategy, known = loaded.strategy, {row.where for row in rows.bad.found}
    both = rows.both  # with those that are left out below
    why = "" if tokenizer is not None else "counted with --strategy, which names a base model"
    if tokenizer is None and strategy.key:
        tokenizer, why = _tokenizer_here(loaded)
    names = WELL_KNOWN if tokenizer is None else control_tokens(tokenizer)
    findings += _of_control_tokens(rows, names)
    tokens, lengths = None, inspection.lengths
    if tokenizer is not None:
        try:
            maker = maker_for(strategy, tokenizer, rows)
            rows.leave_out_bad()
            tokens, of_tokens, found = tokens_of(rows, maker, strategy)
            findings += found
            lengths = [*([of_tokens] if of_tokens else []), *lengths]
        except FurrowError as error:
            why = str(error)
    told = known | {place for each in findings if each.severity == "error" for place in each.where}
    why_not = {row.where: row.what for row in rows.bad.found if row.where not in told}
    findings += unfit.of_rendering(both, why_not, objective_of(strategy))
    findings.sort(key=lambda each: (_ORDER.index(each.severity), -each.count))
    return dataclasses.replace(inspection, tokens=tokens, no_tokens=why, lengths=lengths, findings=findings)


def _tokenizer_here(loaded: Loaded) -> tuple[Any, str]:
    """(the base model's tokenizer, '') or (None, why not). Downloads nothing."""
    config = getattr(loaded.strategy.fine_tuner.config, "base_model", None)
    if not isinstance(config, BaseModelConfig):
        return None, "the fine-tuner has no base model of which the tokenizer could be read"
    try:
        folder = folder_of(config)
        tokenizer = light_tokenizer(folder) if folder is not None else None
    except (FurrowError, OSError) as error:
        return None, str(error)
    if tokenizer is None:
        return None, "the base model's tokenizer is not on this machine: `furrow setup` fetches it"
    return tokenizer, ""


def _of_control_tokens(rows: Rows, names: Any) -> Iterator[Finding]:
    found = Places()
    which: dict[str, None] = {}
    for place, name in holding(rows.both, names):
        found.add(place)
        which[name] = None
    if found:
        message = (
            f"{plural(len(found), 'row holds', 'rows hold')} text that a tokenizer reads as a "
            f"control token ({', '.join(list(which)[:5])})"
        )
        setting = "take it out of the file: it ends or begins a turn in the middle of a text"
        yield Finding("control_tokens", "warning", message, found, setting)


def _of_split(rows: Rows, loaded: Loaded) -> Iterator[Finding]:
    if told := odd(len(rows.train) + len(rows.evaluation), len(rows.evaluation)):
        yield Finding("split_size", "note", told, [], "dataset.eval_split", (), len(rows.evaluation))


def _has_names_of_its_own(strategy: Strategy) -> bool:
    """Whether its templates may know columns by names that mean nothing elsewhere."""
    templates = [strategy.prompt_template, *(source.template for source in strategy.dataset.mix)]
    return any(getattr(getattr(each, "config", None), "format", None) for each in templates)


def _skipping(loaded: Loaded) -> Loaded:
    strategy = loaded.strategy
    dataset = strategy.dataset.model_copy(update={"on_bad_row": "skip", "augmentation": ()})
    return dataclasses.replace(loaded, strategy=strategy.model_copy(update={"dataset": dataset}))
