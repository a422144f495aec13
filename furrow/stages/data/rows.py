"""From a strategy's dataset to clean rows on two sides, with an account of every row that is on neither."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted, Warned, listed
from furrow.components.fingerprint import data_print, fingerprint
from furrow.components.records import Row
from furrow.components.registry import factory
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.dataset_files import read_rows
from furrow.stages.data.quality import flaw
from furrow.strategies.files import Loaded
from furrow.strategies.schema import DatasetConfig


class Dropped(NamedTuple):
    """A row that is not learned, and why."""

    where: str
    reason: str


@dataclass
class Rows:
    """What is learned and what is measured on, both in the order of their files."""

    train: list[Row]
    evaluation: list[Row]
    dropped: list[Dropped] = field(default_factory=list)
    """What `filter_quality` took out of either side."""
    duplicates: int = 0
    """What `remove_duplicates` took out of either side."""
    bad: BadRows = field(default_factory=BadRows)
    """What is wrong with rows that are on neither side, as far as it has been found."""
    files: dict[str, Any] = field(default_factory=dict)
    """For the manifest: the files read, with their sha256."""
    prints: dict[str, Any] = field(default_factory=dict)
    """For the manifest: what the rows of either file say, before any is taken out (`data_print`)."""

    def leave_out_bad(self) -> None:
        """Takes out what was found since. Raises RequestError where that is most of a side."""
        self.train, self.evaluation = self.bad.without(self.train), self.bad.without(self.evaluation)


def load_rows(loaded: Loaded, emit: Emit) -> Rows:
    """Reads, cleans and splits. What is dropped, doubled or on both sides is counted, and said through `emit`.

    Raises RequestError for a bad row by file:line (unless they are set aside), and when there is no train_file or
    nothing is left of it.
    """
    dataset, preprocessing = loaded.strategy.dataset, loaded.strategy.data_preprocessing
    bad = BadRows(skip=dataset.on_bad_row == "skip")
    rows = Rows(*_read(dataset, bad), bad=bad)
    rows.files = _files(dataset)
    read = {"train_file": rows.train, "eval_file": rows.evaluation}
    rows.prints = {side: data_print(each) for side, each in read.items() if side in rows.files}
    if preprocessing.filter_quality:
        rows.train = _without_flaws(rows.train, rows)
        rows.evaluation = _without_flaws(rows.evaluation, rows)
    _settle_duplicates(rows, bool(preprocessing.remove_duplicates), emit)
    if dataset.eval_file is None and dataset.eval_split:
        splitter = factory(dataset.splitter.component)(dataset.splitter.config)
        rows.train, rows.evaluation = splitter.split(rows.train, dataset.eval_split)
    _account(rows, dataset, emit)
    return rows


def _read(dataset: DatasetConfig, bad: BadRows) -> tuple[list[Row], list[Row]]:
    if dataset.train_file is None:
        raise RequestError(
            "no training data is named",
            where="dataset.train_file",
            remedy="name it there, or with --train-dataset FILE",
        )
    train = read_rows(Path(dataset.train_file).expanduser(), dataset.reader, bad)
    if dataset.eval_file is None:
        return train, []
    return train, read_rows(Path(dataset.eval_file).expanduser(), dataset.reader, bad)


def _files(dataset: DatasetConfig) -> dict[str, Any]:
    named = {"train_file": dataset.train_file, "eval_file": dataset.eval_file}
    return {key: {"path": name, "sha256": sha256_of(Path(name).expanduser())} for key, name in named.items() if name}


def _without_flaws(rows: Sequence[Row], found: Rows) -> list[Row]:
    kept = []
    for row in rows:
        with found.bad.looking_at(row):
            if reason := flaw(row):
                found.dropped.append(Dropped(row.where, reason))
            else:
                kept.append(row)
    return kept


def _settle_duplicates(rows: Rows, remove: bool, emit: Emit) -> None:
    """Finds rows that are equal to an earlier one of their side; drops them if asked to, else only says so."""
    train, train_copies = _apart(rows.train)
    evaluation, eval_copies = _apart(rows.evaluation)
    copies = [*train_copies, *eval_copies]
    if not copies:
        return
    found = f"{len(copies)} rows are equal to an earlier one ({listed([row.where for row in copies])})"
    if remove:
        rows.train, rows.evaluation, rows.duplicates = train, evaluation, len(copies)
        emit(Noted(message=f"{found}: dropped"))
    else:
        emit(Noted(message=f"{found}: kept; data_preprocessing.remove_duplicates would drop them"))


def _apart(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    seen: set[bytes] = set()
    first: list[Row] = []
    again: list[Row] = []
    for row in rows:
        print_ = fingerprint(row)
        (again if print_ in seen else first).append(row)
        seen.add(print_)
    return first, again


def _account(rows: Rows, dataset: DatasetConfig, emit: Emit) -> None:
    for reason in dict.fromkeys(each.reason for each in rows.dropped):
        places = [each.where for each in rows.dropped if each.reason == reason]
        emit(Warned(message=f"{len(places)} rows dropped by filter_quality, {reason}: {listed(places)}"))
    if not rows.train:
        raise RequestError("no row is left to learn: filter_quality dropped every one", where=str(dataset.train_file))
    if warning := leakage(rows):
        emit(warning)
    if dataset.eval_split and dataset.eval_file is None and not rows.evaluation:
        emit(Warned(message="eval_split leaves nothing to evaluate on: there are no two different rows"))


def leakage(rows: Rows) -> Warned | None:
    """What there is to say about rows that are learned and measured on; None if there are none."""
    learned = {fingerprint(row) for row in rows.train}
    leaked = [row.where for row in rows.evaluation if fingerprint(row) in learned]
    if not leaked:
        return None
    return Warned(
        message=f"{len(leaked)} of {len(rows.evaluation)} evaluation rows are learned too: {listed(leaked)}",
        remedy="take them out of one of the files; until then eval_loss looks better than the model is",
    )
