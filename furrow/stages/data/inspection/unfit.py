"""Rows that the template or the objective cannot use, by what they are instead: each kind has a remedy of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from furrow.components.columns import answer_is_null, known_shape
from furrow.components.plural import plural
from furrow.components.preferences import is_judged, is_pair
from furrow.components.records import Row
from furrow.stages.data.examples import PAIRS, VERDICTS
from furrow.stages.data.inspection.findings import Finding
from furrow.stages.data.places import Places


class _Kind(NamedTuple):
    what: str
    """Stands behind their number."""
    setting: str


_NO_COLUMNS = "dataset.columns says which column is the question, and which the answer"
_SHOWN = 6
"""Columns that a message names."""
_OTHER = "prompt_template, or dataset.on_bad_row: skip"


def of_columns(rows: Iterable[Row]) -> Iterator[Finding]:
    """Rows of which no objective knows the columns: one finding, an error."""
    places, names = Places(), dict[str, None]()
    for row in rows:
        if known_shape(row) is None and not (is_pair(row) or is_judged(row) or answer_is_null(row)):
            places.add(row.where)
            if len(names) < _SHOWN:
                names |= dict.fromkeys(row.columns)
    if places:
        listed = ", ".join(list(names)[:_SHOWN]) or "none"
        message = f"{plural(len(places), 'row has', 'rows have')} no columns of a known meaning, but {listed}"
        yield Finding("unfit_rows", "error", message, places, _NO_COLUMNS)


def of_rendering(rows: Iterable[Row], why: dict[str, str], objective: str) -> Iterator[Finding]:
    """`why`: what is wrong with those of `rows` that do not fit, by their place. An error for each kind."""
    kinds: dict[_Kind, Places] = {}
    for row in rows:
        if row.where in why:
            kinds.setdefault(_kind(row, objective), Places()).add(row.where)
    for kind, places in kinds.items():
        message = f"{plural(len(places), 'row')} {kind.what}; the first one: {why[places[0]]}"
        yield Finding("unfit_rows", "error", message, places, kind.setting)


def _kind(row: Row, objective: str) -> _Kind:
    shape, compares = known_shape(row), objective in PAIRS | VERDICTS
    if is_pair(row) and not compares:
        what = f"with two answers to compare, and the objective is {objective}"
        return _Kind(what, _objective("dpo, orpo, simpo or reward"))
    if compares and shape in ("pair", "messages") and not is_pair(row) and not is_judged(row):
        return _Kind(f"with one answer, and the objective is {objective}", _objective("sft"))
    if shape == "text" and objective not in ("pretrain", "classification"):
        return _Kind(f"of plain text, and the objective is {objective}", _objective("pretrain"))
    if shape is None and not is_pair(row):
        return _Kind("without a known set of columns", _NO_COLUMNS)
    return _Kind("that the template or the objective cannot use", _OTHER)


def _objective(types: str) -> str:
    return f"objective: {types}"
