"""From a strategy's dataset to clean rows on two sides, with an account of every row that is on neither."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from furrow.components.dataset_reader import BadRow
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted, Warned, listed
from furrow.components.fingerprint import DataPrint, canonical
from furrow.components.plural import plural
from furrow.components.records import Row
from furrow.components.stored.rows import RowWriter, StoredRows
from furrow.stages.data.augmenting import augmented
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.dropped import PLACES, DroppedRows
from furrow.stages.data.duplicates import near_groups
from furrow.stages.data.gather import Gathering, eval_source, identities, train_sources
from furrow.stages.data.kept_answers import answers_folder
from furrow.stages.data.missing import refuse_missing
from furrow.stages.data.splitting import lists_of, sides_of
from furrow.strategies.files import Loaded
from furrow.strategies.schema import DatasetConfig, PreprocessingConfig

DUPLICATES = "remove_duplicates"
_ACCOUNT = "account.json"
"""What `Rows.save` writes beside the rows."""


@dataclass
class Rows:
    """What is learned and what is measured on, both in the order of their files."""

    train: StoredRows
    evaluation: StoredRows
    dropped: DroppedRows
    """What `filter_quality` and `remove_duplicates` took out of either side."""
    bad: BadRows = field(default_factory=BadRows)
    """What is wrong with rows that are on neither side, as far as it has been found."""
    files: dict[str, Any] = field(default_factory=dict)
    """For the manifest: the files read, with their sha256."""
    prints: dict[str, Any] = field(default_factory=dict)
    """For the manifest: what the rows of each file say, before any is taken out (`DataPrint`)."""
    key: str | None = None
    """What they were made of and what they are; None where nothing says that of another time."""
    held: Any = field(default=None, repr=False)
    """Keeps the folder in which they lie."""

    @property
    def both(self) -> StoredRows:
        """The rows to learn, and behind them those to evaluate on."""
        return self.train + self.evaluation

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
        numbers = {"train": self.train.numbers, "evaluation": self.evaluation.numbers}
        np.savez(folder / "sides.npz", **numbers, allow_pickle=False)
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


def load_rows(loaded: Loaded, emit: Emit, folder: Path | None = None, *, ask: bool = True) -> Rows:
    """Reads, cleans, splits and augments. What is dropped, doubled or on both sides is counted, and told to `emit`.
    `ask`: whether models of augmentations may be asked; else they give what they were asked before.

    The rows lie in `folder` from then on; without one, in a temporary folder that lives as long as they do. Raises
    RequestError for a bad row by file:line (unless they are set aside), and when there is no train_file or nothing is
    left of it.
    """
    if folder is not None:
        return _load(loaded, emit, folder, ask)
    temporary = tempfile.TemporaryDirectory(prefix="furrow-rows-")
    rows = _load(loaded, emit, Path(temporary.name), ask)
    weakref.finalize(rows, temporary.cleanup)
    return rows


def _load(loaded: Loaded, emit: Emit, folder: Path, ask: bool) -> Rows:
    refuse_missing(loaded)
    dataset, preprocessing = loaded.strategy.dataset, loaded.strategy.data_preprocessing
    bad, dropped, writer = BadRows(skip=dataset.on_bad_row == "skip"), DroppedRows(folder), RowWriter(folder)
    measured = eval_source(dataset)
    gathering = Gathering(writer, loaded.strategy, bad, dropped, emit)
    learned = sum(len(gathering.add(source)) for source in train_sources(dataset))
    if measured is not None:
        gathering.add(measured)
    stored = writer.so_far()
    rows = Rows(stored[:learned], stored[learned:], dropped, bad)
    rows.files, rows.prints = identities(dataset, emit), gathering.prints
    _settle_duplicates(rows, preprocessing, emit)
    if preprocessing.remove_duplicates == "near" and measured is not None:
        _regard_as_equal(writer, rows, preprocessing.duplicate_similarity, emit)
    if dataset.is_split:
        learnable = rows.train
        sides = sides_of(learnable, dataset.splits(), emit, bad)
        rows.train, rows.evaluation = learnable.only(sides.train), learnable.only(sides.evaluation)
        rows.prints |= lists_of(dataset)
    _account(rows, dataset, emit)
    made = augmented(
        loaded.strategy,
        rows.train,
        rows.evaluation,
        emit,
        answers_folder(dataset),
        ask=ask,
        bad=bad,
        print_of=gathering.print_of,
    )
    new = list(_written(made, writer, rows.prints, gathering.print_of))
    rows.leave_out_bad()
    stored = writer.finish()
    rows.train = stored.only(np.concatenate([rows.train.numbers, np.array(new, dtype=np.int64)]))
    rows.evaluation = stored.only(rows.evaluation.numbers)
    return rows


def _written(
    made: Iterable[Row], writer: RowWriter, prints: dict[str, Any], print_of: Callable[[Row], bytes]
) -> Iterator[int]:
    """The numbers of augmented rows, and in `prints` what they say together: a model may answer otherwise one day."""
    said = DataPrint()
    for row in made:
        said.add(canonical(row))
        yield writer.append(row, print_of(row))
    if said.facts()["rows"]:
        prints["augmentation"] = said.facts()


def _settle_duplicates(rows: Rows, preprocessing: PreprocessingConfig, emit: Emit) -> None:
    """Finds rows that are equal to an earlier one of their side, or nearly so where that is asked for; drops them if
    asked to, else only says so."""
    remove, near = preprocessing.remove_duplicates, preprocessing.remove_duplicates == "near"
    said = "nearly equal" if near else "equal"
    count, places = 0, list[str]()
    for side in ("train", "evaluation"):
        stored: StoredRows = getattr(rows, side)
        first = near_groups(stored, preprocessing.duplicate_similarity, emit) if near else stored.prints.first_of_each()
        is_first = first == np.arange(len(stored))
        again = np.flatnonzero(~is_first)
        copies = stored.only(again)
        count += len(copies)
        places += [row.where for row in copies[: PLACES - len(places)]]
        if remove and len(copies):
            for row, original in zip(copies, stored.only(first[again]), strict=True):
                rows.dropped.add(row, DUPLICATES, f"{said} to an earlier row", like=original.where)
            setattr(rows, side, stored.only(np.flatnonzero(is_first)))
    if count:
        what_then = "dropped" if remove else "kept; data_preprocessing.remove_duplicates would drop them"
        found = plural(count, "row is", "rows are")
        emit(Noted(message=f"{found} {said} to an earlier one ({listed(places)}): {what_then}"))


def _regard_as_equal(writer: RowWriter, rows: Rows, similarity: float, emit: Emit) -> None:
    """Evaluation rows that are near duplicates of learned ones say the same as these from here on."""
    learned = len(rows.train)
    both = rows.both.numbers
    first = near_groups(rows.both, similarity, emit)
    alike = learned + np.flatnonzero(first[learned:] < learned)
    writer.regard_as_equal(both[alike], both[first[alike]])


def _account(rows: Rows, dataset: DatasetConfig, emit: Emit) -> None:
    for (rule, reason), count in rows.dropped.counts.items():
        if rule != DUPLICATES:
            places = listed(rows.dropped.first[rule, reason])
            emit(Warned(message=f"{plural(count, 'row')} dropped by {rule}, {reason}: {places}"))
    if not len(rows.train):
        where = dataset.train_file or "dataset.mix"
        raise RequestError("no row is left to learn: filter_quality dropped every one", where=where)
    if warning := leakage(rows):
        emit(warning)


def leakage(rows: Rows) -> Warned | None:
    """What there is to say about rows that are learned and measured on; None if there are none."""
    places = leaked(rows)
    if not len(places):
        return None
    first = [rows.evaluation[int(place)].where for place in places[:PLACES]]
    return Warned(
        message=f"{len(places):,} of {plural(len(rows.evaluation), 'evaluation row')} "
        f"{'is' if len(places) == 1 else 'are'} learned too: {listed(first)}",
        remedy="take them out of one of the files; until then eval_loss looks better than the model is",
    )


def leaked(rows: Rows) -> np.ndarray:
    """The places of evaluation rows that say what a learned one says."""
    return np.flatnonzero(rows.evaluation.prints.are_in(rows.train.prints))
