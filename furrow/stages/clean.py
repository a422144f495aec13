"""The stage `clean`: of a file of rows, those that are worth learning, and beside them the others with the reason."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.disk.publish import publishing_together, refuse_existing
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Event, Progressed, StageStarted
from furrow.components.records import Row
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.gather import normalised, rows_in, train_sources
from furrow.stages.data.original_rows import as_line, beside, is_lines, original_lines
from furrow.stages.data.rows import Rows, load_rows
from furrow.strategies.files import Loaded
from furrow.strategies.schema import DatasetConfig

BAD = "on_bad_row"
"""What rows that cannot be used are dropped by."""


@dataclass(frozen=True)
class Cleaned:
    """The files that were written, and how many rows there are: `read` are `kept` and those `dropped` together."""

    clean_file: Path
    dropped_file: Path | None
    """None where nothing was dropped, and then there is none."""
    read: int
    kept: int
    dropped: dict[str, int]
    """The setting that took them out -> rows."""


def clean(loaded: Loaded, output: Path | None, overwrite: bool, emit: Emit) -> Cleaned:
    """Writes `<stem>_clean.jsonl` and `<stem>_dropped.jsonl` beside the train_file, or `output` and the other beside
    it; both or neither. Where nothing is dropped, there is no second one.

    Rows are dropped as data_preprocessing says; where it says nothing of filter_quality or remove_duplicates, broken
    rows and exact duplicates are. Rows that are kept stay as they are: their columns, of .jsonl files their very lines,
    unless unicode_normalization changes them. Raises RequestError where there is no file or more than one, for one most
    of whose rows cannot be used, and for a file that is there already.
    """
    asked = _asked(loaded)
    dataset, source = asked.strategy.dataset, Path(str(asked.strategy.dataset.train_file)).expanduser()
    clean_file = beside(source, None, "clean") if output is None else output
    dropped_file = clean_file.with_name(f"{clean_file.stem.removesuffix('_clean')}_dropped.jsonl")
    _refuse_same(source, clean_file, dropped_file)
    for file in (clean_file, dropped_file):
        refuse_existing(file, overwrite)
    emit(StageStarted(stage="reading the data"))
    with tempfile.TemporaryDirectory(prefix="furrow-clean-") as folder:
        rows = load_rows(asked, _progress(emit), Path(folder))
        form = asked.strategy.data_preprocessing.unicode_normalization
        kept = _as_they_were(source, dataset, rows.train, form)
        counts = _counts(rows)
        files = [clean_file, *([dropped_file] if counts else [])]
        with publishing_together(files, overwrite=overwrite) as (staged, *others):
            with staged.open("wb") as lines:
                lines.writelines(kept)
            for other in others:
                with other.open("w", encoding="utf-8") as text:
                    text.writelines(f"{json.dumps(record, ensure_ascii=False)}\n" for record in _dropped(rows))
        if not counts:
            dropped_file.unlink(missing_ok=True)  # of an earlier cleaning, which --overwrite replaces
        return Cleaned(clean_file, dropped_file if counts else None, rows.bad.seen, len(rows.train), counts)


def _asked(loaded: Loaded) -> Loaded:
    """The strategy with what cleaning means: one file, no split, and the rules on that it says nothing of."""
    strategy = loaded.strategy
    dataset, preprocessing = strategy.dataset, strategy.data_preprocessing
    if dataset.mix:
        raise RequestError(
            "dataset.mix names several files, and one is cleaned at a time",
            where="dataset.mix",
            remedy="name one: --train-dataset FILE --set dataset.mix=[]",
        )
    train_sources(dataset)  # refuses a strategy that names no file
    given = preprocessing.model_fields_set
    rules = {name: on for name, on in (("filter_quality", True), ("remove_duplicates", "exact")) if name not in given}
    alone = {
        "on_bad_row": "skip",
        "eval_file": None,
        "eval_split": 0.0,
        "splitter": DatasetConfig().splitter,
        "augmentation": (),
    }
    changed = {
        "dataset": dataset.model_copy(update=alone),
        "data_preprocessing": preprocessing.model_copy(update=rules),
    }
    return dataclasses.replace(loaded, strategy=strategy.model_copy(update=changed))


def _refuse_same(source: Path, *files: Path) -> None:
    for file in files:
        if file.resolve() == source.resolve():
            raise RequestError(f"{file} is the file that is read", where="--output", remedy="name another one")


def _as_they_were(source: Path, dataset: DatasetConfig, rows: Iterable[Row], form: str | None) -> Iterable[bytes]:
    if form is None and is_lines(source, dataset):
        return original_lines(source, rows)
    return (as_line(normalised(row, form)) for row in _with_their_columns(dataset, rows))


def _with_their_columns(dataset: DatasetConfig, rows: Iterable[Row]) -> Iterator[Row]:
    """These rows, which are in the order of the file, with the columns that the file has."""
    wanted = (row.where for row in rows)
    following = next(wanted, None)
    [source] = train_sources(dataset)
    for row in rows_in(source, BadRows(skip=True)):
        if row.where == following:
            yield row
            following = next(wanted, None)


def _dropped(rows: Rows) -> Iterator[dict[str, Any]]:
    yield from rows.dropped.records()
    for bad in rows.bad.found:
        yield {"where": bad.where, "rule": BAD, "reason": bad.what, "row": bad.text}


def _counts(rows: Rows) -> dict[str, int]:
    rules = dict.fromkeys(rule for rule, _ in rows.dropped.counts)
    counts = {rule: rows.dropped.of(rule) for rule in rules}
    return counts | ({BAD: len(rows.bad.found)} if rows.bad.found else {})


def _progress(emit: Emit) -> Emit:
    """How far it is; what is said of the rows themselves, the two files say."""

    def hear(event: Event) -> None:
        if isinstance(event, Progressed):
            emit(event)

    return hear
