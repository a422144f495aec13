"""From a strategy's dataset to clean rows on two sides, with an account of every row that is on neither."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from furrow.components.dataset_reader import BadRow
from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted, Warned, listed
from furrow.components.fingerprint import fingerprint
from furrow.components.records import Row
from furrow.components.registry import factory
from furrow.components.stored.rows import Prints, RowWriter, StoredRows
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.dropped import PLACES, DroppedRows
from furrow.stages.data.gather import Gathering, Source, eval_source, train_sources
from furrow.strategies.files import Loaded
from furrow.strategies.schema import DatasetConfig

DUPLICATES = "remove_duplicates"
_ACCOUNT = "account.json"
"""What `Rows.save` writes beside the rows."""


@dataclass
class Rows:
    """What is learned and what is measured on, both in the order of their files."""

    train: Sequence[Row]
    evaluation: Sequence[Row]
    dropped: DroppedRows
    """What `filter_quality` and `remove_duplicates` took out of either side."""
    bad: BadRows = field(default_factory=BadRows)
    """What is wrong with rows that are on neither side, as far as it has been found."""
    files: dict[str, Any] = field(default_factory=dict)
    """For the manifest: the files read, with their sha256."""
    prints: dict[str, Any] = field(default_factory=dict)
    """For the manifest: what the rows of each file say, before any is taken out (`DataPrint`)."""

    @property
    def duplicates(self) -> int:
        """Rows that `remove_duplicates` took out of either side."""
        return self.dropped.of(DUPLICATES)

    @property
    def flawed(self) -> int:
        """Rows that `filter_quality` took out of either side."""
        return len(self.dropped) - self.duplicates

    def leave_out_bad(self) -> None:
        """Takes out what was found since. Raises RequestError where that is most of a side."""
        self.train, self.evaluation = self.bad.without(self.train), self.bad.without(self.evaluation)

    def save(self, folder: Path) -> None:
        """Beside the rows, so that `load` gives the same again. They must be those of a RowWriter of that folder."""
        self.dropped.save()
        sides = {side: _numbers(rows) for side, rows in (("train", self.train), ("evaluation", self.evaluation))}
        np.savez(folder / "sides.npz", **sides, allow_pickle=False)
        bad = [[each.what, each.where, each.remedy, each.text] for each in self.bad.found]
        account = {"files": self.files, "prints": self.prints, "bad": bad, "seen": self.bad.seen, "skip": self.bad.skip}
        (folder / _ACCOUNT).write_text(json.dumps(account), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Rows:
        """What `save` left there."""
        account = json.loads((folder / _ACCOUNT).read_text(encoding="utf-8"))
        bad = BadRows(skip=account["skip"])
        bad.found, bad.seen = [BadRow(*each) for each in account["bad"]], account["seen"]
        stored = StoredRows.load(folder)
        with np.load(folder / "sides.npz", allow_pickle=False) as sides:
            train, evaluation = (stored.only(sides[name]) for name in ("train", "evaluation"))
        return cls(train, evaluation, DroppedRows.load(folder), bad, account["files"], account["prints"])


def load_rows(loaded: Loaded, emit: Emit, folder: Path | None = None) -> Rows:
    """Reads, cleans and splits. What is dropped, doubled or on both sides is counted, and said through `emit`.

    The rows lie in `folder` from then on; without one, in a temporary folder that lives as long as they do. Raises
    RequestError for a bad row by file:line (unless they are set aside), and when there is no train_file or nothing is
    left of it.
    """
    if folder is not None:
        return _load(loaded, emit, folder)
    temporary = tempfile.TemporaryDirectory(prefix="furrow-rows-")
    rows = _load(loaded, emit, Path(temporary.name))
    weakref.finalize(rows, temporary.cleanup)
    return rows


def _load(loaded: Loaded, emit: Emit, folder: Path) -> Rows:
    dataset, preprocessing = loaded.strategy.dataset, loaded.strategy.data_preprocessing
    bad, dropped, writer = BadRows(skip=dataset.on_bad_row == "skip"), DroppedRows(folder), RowWriter(folder)
    sources, measured = train_sources(dataset), eval_source(dataset)
    gathering = Gathering(writer, preprocessing, bad, dropped)
    learned = [number for source in sources for number in gathering.add(source, lambda rows: None)]
    kept_apart = [] if measured is None else list(gathering.add(measured, lambda rows: None))
    stored = writer.finish()
    rows = Rows(stored.only(learned), stored.only(kept_apart), dropped, bad)
    rows.files, rows.prints = _files([*sources, *([measured] if measured else [])]), gathering.prints
    _settle_duplicates(rows, bool(preprocessing.remove_duplicates), emit)
    if measured is None and dataset.eval_split:
        splitter = factory(dataset.splitter.component)(dataset.splitter.config)
        rows.train, rows.evaluation = splitter.split(rows.train, dataset.eval_split)
    _account(rows, dataset, emit)
    return rows


def _files(sources: Sequence[Source]) -> dict[str, Any]:
    return {source.key: {"path": str(source.path), "sha256": sha256_of(source.path)} for source in sources}


def _settle_duplicates(rows: Rows, remove: bool, emit: Emit) -> None:
    """Finds rows that are equal to an earlier one of their side; drops them if asked to, else only says so."""
    count, places = 0, list[str]()
    for side in ("train", "evaluation"):
        stored: StoredRows = getattr(rows, side)
        is_first = stored.prints.first_of_each() == np.arange(len(stored))
        copies = stored.only(np.flatnonzero(~is_first))
        count += len(copies)
        places += [row.where for row in copies[: PLACES - len(places)]]
        if remove and len(copies):
            for row in copies:
                rows.dropped.add(row, DUPLICATES, "equal to an earlier row")
            setattr(rows, side, stored.only(np.flatnonzero(is_first)))
    if count:
        what_then = "dropped" if remove else "kept; data_preprocessing.remove_duplicates would drop them"
        emit(Noted(message=f"{count:,} rows are equal to an earlier one ({listed(places)}): {what_then}"))


def _account(rows: Rows, dataset: DatasetConfig, emit: Emit) -> None:
    for (rule, reason), count in rows.dropped.counts.items():
        if rule != DUPLICATES:
            places = listed(rows.dropped.first[rule, reason])
            emit(Warned(message=f"{count:,} rows dropped by {rule}, {reason}: {places}"))
    if not len(rows.train):
        where = dataset.train_file or "dataset.mix"
        raise RequestError("no row is left to learn: filter_quality dropped every one", where=where)
    if warning := leakage(rows):
        emit(warning)
    if dataset.eval_split and dataset.eval_file is None and not len(rows.evaluation):
        emit(Warned(message="eval_split leaves nothing to evaluate on: there are no two different rows"))


def leakage(rows: Rows) -> Warned | None:
    """What there is to say about rows that are learned and measured on; None if there are none."""
    places = leaked(rows)
    if not len(places):
        return None
    first = [rows.evaluation[int(place)].where for place in places[:PLACES]]
    return Warned(
        message=f"{len(places):,} of {len(rows.evaluation):,} evaluation rows are learned too: {listed(first)}",
        remedy="take them out of one of the files; until then eval_loss looks better than the model is",
    )


def leaked(rows: Rows) -> np.ndarray:
    """The places of evaluation rows that say what a learned one says."""
    learned, measured = (_joined(prints_of(side)) for side in (rows.train, rows.evaluation))
    return np.flatnonzero(np.isin(measured, learned))


def prints_of(rows: Sequence[Row]) -> Prints:
    """What each row says; of rows on disk it is known already."""
    if isinstance(rows, StoredRows):
        return rows.prints
    return Prints(np.frombuffer(b"".join(map(fingerprint, rows)), dtype=np.uint64).reshape(-1, 2))


def _joined(prints: Prints) -> np.ndarray:
    return np.ascontiguousarray(prints.array).view("V16").ravel()


def _numbers(rows: Sequence[Row]) -> np.ndarray:
    return rows.numbers if isinstance(rows, StoredRows) else np.array([row.number for row in rows], dtype=np.int64)
