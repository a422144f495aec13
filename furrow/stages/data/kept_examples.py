"""The examples of a run on disk: both sides, what became of the rows, and what else was found out about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from furrow.components.dataset_reader import BadRow
from furrow.components.stored.examples import StoredExamples
from furrow.components.stored.rows import StoredRows
from furrow.stages.data.classification_examples import Classes
from furrow.stages.data.labels import Labels
from furrow.stages.data.places import Places
from furrow.stages.data.prepared import Prepared
from furrow.stages.data.rows import Rows

SIDES = ("train", "evaluation")
PLACES = ("truncated", "cut_answers", "dropped")
_ACCOUNT, _LEFT = "account.json", "left.npz"


@dataclass(frozen=True)
class KeptExamples:
    """What `save` wrote."""

    train: Prepared
    evaluation: Prepared
    classes: Classes | None


def save(folder: Path, rows: Rows, train: Prepared, evaluation: Prepared, classes: Classes | None) -> None:
    """Beside the examples, which lie in `folder` already: one folder for each of SIDES."""
    sides = list(zip(SIDES, (train, evaluation), strict=True))
    bad = [[each.what, each.where, each.remedy, each.text] for each in rows.bad.found]
    account = {
        "bad": bad,
        "seen": rows.bad.seen,
        "classes": None if classes is None else [list(classes.labels.names), classes.labels.column,
                                                 classes.labels.named, classes.keeps_end],
        **{side: {"lost": each.lost, **{name: getattr(each, name).files for name in PLACES}} for side, each in sides},
    }  # fmt: skip
    (folder / _ACCOUNT).write_text(json.dumps(account), encoding="utf-8")
    left = {side: getattr(rows, side).numbers for side in SIDES}
    left |= {f"{side}.{name}": getattr(each, name).lines for side, each in sides for name in PLACES}
    with (folder / _LEFT).open("wb") as file:
        np.savez(file, allow_pickle=False, **left)


def load(folder: Path, rows: Rows) -> KeptExamples:
    """The same again. Rows that were found to be bad when they became examples are taken out of `rows`."""
    account: dict[str, Any] = json.loads((folder / _ACCOUNT).read_text(encoding="utf-8"))
    rows.bad.found, rows.bad.seen = [BadRow(*each) for each in account["bad"]], account["seen"]
    with np.load(folder / _LEFT, allow_pickle=False) as left:
        for side in SIDES:
            stored: StoredRows = getattr(rows, side)
            if len(stored) != len(left[side]):
                setattr(rows, side, stored.only(np.flatnonzero(np.isin(stored.numbers, left[side]))))
        train, evaluation = (_prepared(folder / side, side, account[side], left) for side in SIDES)
    classes = None
    if account["classes"] is not None:
        names, column, named, keeps_end = account["classes"]
        classes = Classes(Labels(tuple(names), column, named), keeps_end)
    return KeptExamples(train, evaluation, classes)


def _prepared(folder: Path, side: str, account: dict[str, Any], left: Mapping[str, np.ndarray]) -> Prepared:
    places = {name: Places.of(account[name], left[f"{side}.{name}"]) for name in PLACES}
    return Prepared(StoredExamples.load(folder), lost=account["lost"], **places)
