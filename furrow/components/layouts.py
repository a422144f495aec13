"""How the rows of a file are laid out: recognised by their columns and counted, or refused where another is named.

A row keeps its columns, but for two things that a strategy may ask for: `columns` gives them the names of their
meaning, and a named layout takes out what would make the row be read as another one. What columns mean, `columns.py`
says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from furrow.components.columns import ANSWER, MESSAGES, PARTS, QUESTION, listed
from furrow.components.dataset_reader import BadRow
from furrow.components.errors import RequestError, nearest, shortened
from furrow.components.events import LayoutsRecognised
from furrow.components.preferences import CHOSEN, REJECTED, VERDICT, is_verdict
from furrow.components.records import Row

Layout = Literal[
    "text",
    "alpaca",
    "prompt_completion",
    "messages",
    "sharegpt",
    "preference",
    "unpaired_preference",
    "classification",
]
OTHER = "other"
"""Columns that only a template with placeholders of their names knows."""
LABEL = ("label", "labels")

_WANTED: dict[str, tuple[tuple[str, ...], ...]] = {
    "text": (("text",),),
    "alpaca": (("instruction",), ANSWER),
    "prompt_completion": (PARTS, ANSWER),
    "messages": (MESSAGES,),
    "sharegpt": (MESSAGES,),
    "preference": (CHOSEN, REJECTED),
    "unpaired_preference": ((*ANSWER, *MESSAGES), VERDICT),
    "classification": (("text", *MESSAGES, *PARTS), LABEL),
}
"""Layout -> of each of these columns, one is there."""
_READ_OTHERWISE: dict[str, tuple[str, ...]] = {
    "text": (*MESSAGES, *PARTS, *ANSWER, *CHOSEN, *REJECTED),
    "alpaca": (*MESSAGES, *CHOSEN, *REJECTED),
    "prompt_completion": (*MESSAGES, *CHOSEN, *REJECTED),
    "messages": (*CHOSEN, *REJECTED),
    "sharegpt": (*CHOSEN, *REJECTED),
    "unpaired_preference": (*CHOSEN, *REJECTED),
    "classification": (*CHOSEN, *REJECTED),
}
"""Layout -> columns that would make a row of it be read as another one."""
SYNONYMS = (QUESTION, ANSWER, MESSAGES, CHOSEN, REJECTED)
"""Names of one meaning each."""
_SAME_MEANING = {name: names for names in (*SYNONYMS, (*VERDICT, *LABEL)) for name in names}
_MAY_LACK = ("system", "input", "context", "tools")
"""Meanings that not every row has."""
_PLANS_KEPT = 1000
"""Sets of columns that are remembered: a file has one, or a few; one of hostile make has another in every row."""
_PLACES_KEPT = 5
_COLUMNS_SHOWN = 12


@dataclass(frozen=True)
class _Plan:
    """What is done with every row of these columns. `turns`, `verdict`: the column whose value has a say, too."""

    layout: str
    renamed: Mapping[str, str] | None = None
    """Column -> the name of its meaning; those that are not in it are left out. None where all stays as it is."""
    turns: str | None = None
    verdict: str | None = None
    without_verdict: str = ""
    """The layout where the verdict is none."""
    wrong: str | None = None
    remedy: str | None = None


class Layouts:
    """Lays out the rows of one file, and counts."""

    def __init__(
        self,
        format: str = "auto",
        columns: Mapping[str, str] | None = None,
        *,
        classes: bool = False,
        label_column: str | None = None,
        where: str = "dataset",
    ) -> None:
        """`format` and `columns` as `dataset` has them, or a set of its mix; `where` is the key that holds them.
        `classes`: the objective learns classes, and looks for them in `label_column`, or in LABEL where that is None.

        Raises RequestError where `label_column` and `columns.label` differ.
        """
        self._format, self._where = format, where
        self._labels = () if not classes else LABEL if label_column is None else (label_column,)
        self._columns = dict(columns or {})
        label = self._columns.get("label")
        if label is not None and label_column not in (None, "label", label):
            raise RequestError(
                f"the class is in the column {label!r} here, and in {label_column!r} by objective.label_column",
                where=f"{where}.columns.label",
                remedy="name the same column in both, or leave one out",
            )
        if label is not None and label == label_column:
            del self._columns["label"]  # the objective reads it by the name that it has
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._counts: Counter[str] = Counter()
        self._places: dict[str, list[str]] = {}
        self._shown: dict[str, list[str]] = {}
        self._met: set[str] = set()
        self._left_out: dict[str, None] = {}

    def laid_out(self, row: Row) -> Row | BadRow:
        """The row with the names that its columns are known by. A BadRow where a column of `columns` is not there, and
        where the row has another layout than the one that is named."""
        given = row.columns
        key: tuple[Any, ...] = tuple(given)
        if None in given.values():  # null counts as absent
            key = (key, tuple(name for name, value in given.items() if value is not None))
        plan = self._plans.get(key)
        if plan is None:
            plan = self._planned(given)
            if len(self._plans) == _PLANS_KEPT:
                self._plans.clear()
            self._plans[key] = plan
        if plan.wrong is not None:
            return self._refused(row, plan)
        layout = plan.layout
        if plan.verdict is not None and not is_verdict(given[plan.verdict]):
            layout = plan.without_verdict
        if plan.turns is not None and layout in ("messages", "sharegpt"):
            layout = "sharegpt" if _is_sharegpt(given[plan.turns]) else "messages"
            if self._format in ("messages", "sharegpt") and layout != self._format:
                return self._another(row, layout)
        self._counts[layout] += 1
        if plan.renamed is not None:
            names = plan.renamed
            columns = {names[name]: value for name, value in given.items() if name in names}
            row = Row(columns, row.where, row.source, row.origin, row.number)
        if self._counts[layout] <= _PLACES_KEPT:
            self._places.setdefault(layout, []).append(row.where)
            self._shown.setdefault(layout, list(row.columns)[:_COLUMNS_SHOWN])
        return row

    def recognised(self, file: str) -> LayoutsRecognised | None:
        """What there is to say when every row of the file was laid out; None where none was.

        Raises RequestError for a column of `columns` that no row has.
        """
        for meaning, name in self._columns.items():
            if self._counts and name not in self._met:
                raise RequestError(
                    f"no row of {file} has the column {shortened(name)!r}", where=f"{self._where}.columns.{meaning}"
                )
        counts = dict(self._counts.most_common())
        if not counts:
            return None
        main = next(iter(counts))
        return LayoutsRecognised(
            file=file,
            layouts=counts,
            columns=self._shown.get(main, []),
            where={layout: self._places[layout] for layout in counts if layout != main},
            renamed=self._columns,
            left_out=list(self._left_out),
        )

    def _planned(self, given: Mapping[str, Any]) -> _Plan:
        renamed = self._renamed(given)
        lacking = next(
            (each for each in self._columns.items() if each[1] not in given and each[0] not in _MAY_LACK), None
        )
        if lacking is not None:
            meaning, name = lacking
            near = nearest(name, given)
            return _Plan(
                OTHER,
                wrong=f"column {shortened(name)!r} is not there; columns: {listed(Row(given, ''))}",
                remedy=(f"did you mean {shortened(near)!r}? " if near else "") + f"see {self._where}.columns.{meaning}",
            )
        self._met.update(name for name in self._columns.values() if name in given)
        there = {renamed[name]: name for name, value in given.items() if name in renamed and value is not None}
        if self._format != "auto":
            return self._named_plan(given, renamed, there)
        layout = _layout_of(there, self._labels)
        verdict = next((name for name in VERDICT if name in there), None) if layout == "unpaired_preference" else None
        without = _layout_of({name: "" for name in there if name not in VERDICT}, ()) if verdict else ""
        turns = next((there[name] for name in MESSAGES if name in there), None)
        return _Plan(layout, self._as_asked(given, renamed), turns, verdict and there[verdict], without)

    def _named_plan(self, given: Mapping[str, Any], renamed: dict[str, str], there: Mapping[str, str]) -> _Plan:
        wanted = [self._labels if names is LABEL and self._labels else names for names in _WANTED.get(self._format, ())]
        if missing := next((names for names in wanted if not any(name in there for name in names)), None):
            likely = _layout_of(there, self._labels)
            other = f"; as {likely}, it would be one" if likely != OTHER else ""
            return _Plan(
                OTHER,
                wrong=f"the row has none of {', '.join(missing)}, which {self._format} has; columns: "
                + listed(Row(given, ""))
                + other,
                remedy=f"{self._where}.format says {self._format}; auto takes rows of any layout, and "
                f"{self._where}.columns says which column means what",
            )
        otherwise = [name for name in _READ_OTHERWISE.get(self._format, ()) if name in there]
        kept = {column: name for column, name in renamed.items() if name not in otherwise}
        self._left_out.update(dict.fromkeys(column for column, name in renamed.items() if name in otherwise))
        turns = next((there[name] for name in MESSAGES if name in there and name not in otherwise), None)
        return _Plan(self._format, self._as_asked(given, kept), turns)

    def _renamed(self, given: Mapping[str, Any]) -> dict[str, str]:
        """Column -> its name from here on. What `columns` names is what is meant: others of the same meaning go."""
        chosen = {name: meaning for meaning, name in self._columns.items() if name in given}
        taken = {same for meaning in chosen.values() for same in _SAME_MEANING.get(meaning, (meaning,))}
        renamed = {}
        for name in given:
            if name in chosen:
                renamed[name] = chosen[name]
            elif name not in taken:
                renamed[name] = name
            else:
                self._left_out.setdefault(name)
        return renamed

    def _as_asked(self, given: Mapping[str, Any], renamed: dict[str, str]) -> dict[str, str] | None:
        return None if len(renamed) == len(given) and all(old == new for old, new in renamed.items()) else renamed

    def _refused(self, row: Row, plan: _Plan) -> BadRow:
        return BadRow(plan.wrong or "", row.where, plan.remedy)

    def _another(self, row: Row, layout: str) -> BadRow:
        keys = "from and value" if layout == "sharegpt" else "role and content"
        return BadRow(
            f"the messages have {keys}, as {layout} has them, and {self._where}.format says {self._format}",
            row.where,
            f"set {self._where}.format to {layout}, or to auto",
        )


def _layout_of(there: Collection[str], labels: Sequence[str]) -> str:
    """By the names of columns that are not null. `labels`: where a classifier looks for the class."""

    def has(layout: str) -> bool:
        return all(any(name in there for name in names) for names in _WANTED[layout])

    if has("preference"):
        return "preference"
    if labels and any(name in there for name in labels) and any(name in there for name in ("text", *MESSAGES, *PARTS)):
        return "classification"
    if has("unpaired_preference"):
        return "unpaired_preference"
    for layout in ("messages", "alpaca", "prompt_completion", "classification", "text"):
        if has(layout):
            return layout
    return OTHER


def _is_sharegpt(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping) and "from" in value[0]
