"""Rows go to two sides: as the splitter says, each set of a mix by itself, and never one row to both."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from furrow.components.dataset_splitter import DatasetSplitter, LeavesOut
from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Emit, Noted, Warned, listed
from furrow.components.fingerprint import DataPrint
from furrow.components.plural import plural
from furrow.components.registry import factory
from furrow.components.stored.rows import StoredRows
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.split_advice import odd
from furrow.strategies.schema import DatasetConfig
from furrow.strategies.wiring import Wired

PLACES = 5
"""Rows that a message lists."""
FAR_OFF = 0.25
"""By so much of the share that was asked for the one that came of it may differ before it is said."""


class Sides(NamedTuple):
    """Places of rows, ascending; no print is in two of them, but for what is left out."""

    train: np.ndarray
    evaluation: np.ndarray
    left_out: np.ndarray
    """What the splitter wants neither learned nor measured on."""


def sides_of(rows: StoredRows, splits: Sequence[tuple[Wired, float]], emit: Emit, bad: BadRows | None = None) -> Sides:
    """Splits them, each set of a mix by its own one of `splits`: a splitter, and the share to measure on. Says what is
    other than was asked. `bad` may set rows aside of which a splitter cannot tell the side: they are on none.

    Raises RequestError where nothing is left to learn, and FurrowError for a splitter that gives no rows.
    """
    bad = bad or BadRows()
    is_measured, is_left_out, is_bad = (np.zeros(len(rows), dtype=bool) for _ in range(3))
    sources = rows.sources
    for source in np.unique(sources):
        splitter, share = splits[source]
        if not share and not _has_own_share(splitter):
            continue
        made: DatasetSplitter = factory(splitter.component)(splitter.config)
        places = np.flatnonzero(sources == source)
        whole = part = rows if len(places) == len(rows) else rows.only(places)
        while True:
            try:
                measured = _checked(made.evaluated(part, part.prints, share), len(part), splitter)
                left_out = _checked(made.left_out(part) if isinstance(made, LeavesOut) else (), len(part), splitter)
                break
            except FurrowError as error:
                _set_aside(part, made, share, error, bad)
                part = bad.without(whole)
        stays = np.isin(whole.numbers, part.numbers)
        is_bad[places[~stays]] = True
        is_measured[places[stays][measured]] = True
        is_left_out[places[stays][left_out]] = True
    is_measured &= ~is_left_out
    measured = np.flatnonzero(is_measured)
    moved = measured[
        rows.only(measured).prints.are_in(rows.only(np.flatnonzero(~is_measured & ~is_left_out & ~is_bad)).prints)
    ]
    is_measured[moved] = False
    sides = Sides(*map(np.flatnonzero, (~is_measured & ~is_left_out & ~is_bad, is_measured, is_left_out)))
    if len(rows) and not len(sides.train):
        raise RequestError(
            f"{_named(splits)} leaves no row to learn", where="dataset.splitter", remedy="choose another"
        )
    _say(rows, sides, moved, splits, emit)
    return sides


def lists_of(dataset: DatasetConfig) -> dict[str, Any]:
    """For the manifest: what files say that splitters go by, as `DataPrint` says it of rows."""
    named = {"splitter.list": dataset.splitter}
    named |= {
        f"mix.{number}.splitter.list": entry.splitter for number, entry in enumerate(dataset.mix) if entry.splitter
    }
    found = {}
    for key, splitter in named.items():
        file = getattr(splitter.config, "list", None)
        if isinstance(file, str) and dataset.is_split:
            said = DataPrint()
            for line in Path(file).expanduser().read_text(encoding="utf-8-sig").split():
                said.add(json.dumps(line))
            found[key] = said.facts()
    return found


def _set_aside(part: StoredRows, made: DatasetSplitter, share: float, error: FurrowError, bad: BadRows) -> None:
    """Sets the row aside that the error is about, and those behind it of which nothing can be told alone either: asked
    one by one, they take one pass and not one each. Raises the error where it is about none."""
    if not bad.skip:
        raise error
    rows = enumerate(part)
    first = next((row for _, row in rows if row.where == error.where), None)
    if first is None:
        raise error
    bad.caught(first, error)
    for place, row in rows:
        try:
            made.evaluated([row], part.prints[place : place + 1], share)
        except FurrowError as of_one:
            if of_one.where == row.where:
                bad.caught(row, of_one)


def _checked(given: Any, rows: int, splitter: Wired) -> np.ndarray:
    """What a splitter gave, if it is numbers of rows."""
    try:
        numbers = np.asarray(given if isinstance(given, np.ndarray) else list(given))
    except (TypeError, ValueError):
        numbers = np.array(None)
    package = "" if splitter.component.factory.startswith("furrow.") else " (a component of another package)"
    blame = f"the splitter {splitter.type!r}{package} gave"
    if numbers.ndim == 1 and not len(numbers):
        return np.zeros(0, dtype=np.int64)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu":
        raise FurrowError(f"{blame} {type(given).__name__} where numbers of rows are wanted", where="dataset.splitter")
    wrong = numbers[(numbers < 0) | (numbers >= rows)]
    if len(wrong):
        raise FurrowError(f"{blame} row {wrong[0]} of {rows} (the first is 0)", where="dataset.splitter")
    return numbers.astype(np.int64)


def _say(rows: StoredRows, sides: Sides, moved: np.ndarray, splits: Sequence[tuple[Wired, float]], emit: Emit) -> None:
    if len(sides.left_out):
        places = _places(rows, sides.left_out)
        left_out = plural(len(sides.left_out), "row is", "rows are")
        emit(Noted(message=f"{left_out} neither learned nor measured on: {places}"))
    if len(moved):
        say = "says" if len(moved) == 1 else "say"
        what = f"{plural(len(moved), 'row')} that {_named(splits)} would measure on {say} what a learned row says"
        emit(Noted(message=f"{what}, and {'is' if len(moved) == 1 else 'are'} learned too: {_places(rows, moved)}"))
    learned, measured = (
        np.bincount(rows.sources[side], minlength=len(splits)) for side in (sides.train, sides.evaluation)
    )
    of = learned + measured
    if not len(sides.evaluation):
        why = f"{_named(splits)} chooses no row"
        if len(moved):
            why = "all rows that it would measure on say what a learned row says"
        elif len(np.unique(rows.prints.array, axis=0)) < 2:
            why = "there are no two different rows"
        emit(Warned(message=f"the split leaves nothing to evaluate on: {why}", remedy=odd(int(of.sum()), 0)))
        return
    is_far = False
    for source, (splitter, share) in enumerate(splits):
        if _has_own_share(splitter) or abs(measured[source] - share * of[source]) <= max(
            1.0, FAR_OFF * share * of[source]
        ):
            continue
        is_far = True
        what = (
            f"{measured[source] / of[source]:.1%} of the rows are kept to evaluate on, where eval_split is {share:.1%}"
        )
        whose = f"set {source + 1} of the mix: " if len(splits) > 1 else ""
        emit(Noted(message=f"{whose}{what}: the splitter {splitter.type!r} comes no nearer"))
    asked = not all(_has_own_share(splitter) for splitter, _ in splits)
    if asked and not is_far and (advice := odd(int(of.sum()), len(sides.evaluation))):
        emit(Noted(message=advice))


def _has_own_share(splitter: Wired) -> bool:
    return bool(getattr(splitter.config, "own_share", False))


def _named(splits: Sequence[tuple[Wired, float]]) -> str:
    types = list(dict.fromkeys(repr(splitter.type) for splitter, _ in splits))
    return f"the splitter {' or '.join(types)}"


def _places(rows: StoredRows, places: Sequence[int] | np.ndarray) -> str:
    first = [rows[int(place)].where for place in places[:PLACES]]
    more = f" and {len(places) - PLACES:,} more" if len(places) > PLACES else ""
    return listed(first) + more
