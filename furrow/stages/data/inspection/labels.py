"""The classes of rows that have one: how many rows each has, and which of them may be one class spelled twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from furrow.components.plural import plural
from furrow.components.records import Row
from furrow.stages.data.examples import objective_of
from furrow.stages.data.inspection.findings import Finding
from furrow.stages.data.inspection.survey import Found
from furrow.stages.data.labels import COLUMNS
from furrow.strategies.schema import Strategy

FEW = 10
"""Rows of a class: fewer teach it badly."""
UNBALANCED = 10
"""Times as many rows as the smallest class has: more, and the model does well by never naming that."""
_SHOWN = 5
_MOST = 1_000
"""Different values: a column with more of them holds no classes."""


class Labels:
    """Counts them. Knows the column that the strategy classifies by, or else `label` beside a text."""

    def __init__(self, strategy: Strategy) -> None:
        self._classifies = objective_of(strategy) == "classification"
        objective: Any = getattr(strategy.fine_tuner.config, "objective", None)
        column = getattr(objective, "label_column", None) if self._classifies else None
        self._columns = (column,) if column else COLUMNS
        self.found: dict[str, Found] = {}

    def see(self, rows: Iterable[Row]) -> None:
        for row in rows:
            label = self._label(row)
            if label is not None and len(self.found) <= _MOST:
                self.found.setdefault(label, Found()).add(row.where, label)

    def _label(self, row: Row) -> str | None:
        if not self._classifies and "text" not in row.columns:
            return None
        value = next((row.columns[name] for name in self._columns if row.columns.get(name) is not None), None)
        return str(value) if isinstance(value, str | int) else None

    @property
    def counts(self) -> dict[str, int]:
        """The most frequent first; empty where there are no classes."""
        if len(self.found) > _MOST:
            return {}
        ranked = sorted(self.found, key=lambda label: (-len(self.found[label].where), label))
        return {label: len(self.found[label].where) for label in ranked}

    def findings(self) -> list[Finding]:
        counts = self.counts
        if not counts:
            return []
        usual = self._usual(counts)
        known = {label: count for label, count in counts.items() if usual[label] == label}
        return [*self._spellings(usual), *self._few(known), *self._unbalanced(known)]

    def _usual(self, counts: dict[str, int]) -> dict[str, str]:
        """Label -> the most frequent one that differs from it in case and spaces at most."""
        first: dict[str, str] = {}
        return {label: first.setdefault(" ".join(label.casefold().split()), label) for label in counts}

    def _spellings(self, usual: dict[str, str]) -> list[Finding]:
        found = []
        for label, same in usual.items():
            if same != label:
                places = self.found[label]
                message = (
                    f"{plural(len(places.where), 'row has', 'rows have')} the label {label!r}, which may be {same!r}"
                )
                found.append(_finding("label_spelling", message, places, "write each class in one way in the file"))
        return found

    def _few(self, counts: dict[str, int]) -> list[Finding]:
        total = sum(counts.values())
        few = [label for label, count in counts.items() if count < min(FEW, total / len(counts) / 2)]
        found = []
        for label in few[:_SHOWN]:
            places = self.found[label]
            message = f"the class {label!r} has {plural(len(places.where), 'row')} to learn from"
            found.append(_finding("rare_label", message, places, "add rows of it, or take the class out"))
        return found

    def _unbalanced(self, counts: dict[str, int]) -> list[Finding]:
        (most, many), (least, few) = next(iter(counts.items())), list(counts.items())[-1]
        if many < UNBALANCED * few or few < FEW:
            return []
        message = f"the class {most!r} has {plural(many, 'row')}, {least!r} has {few:,}"
        return [_finding("label_balance", message, self.found[least], "add rows of the smaller one")]


def _finding(rule: str, message: str, found: Found, setting: str) -> Finding:
    return Finding(rule, "warning", message, found.where, setting, found.examples)
