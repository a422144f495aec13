"""What a row says: the columns that are read of it, by their meaning. Rows that agree in these are equal, whatever else
their files keep beside it and whatever they call it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from furrow.components.columns import ANSWER, MESSAGES, PARTS
from furrow.components.fingerprint import NUMBERING, canonical, fingerprint
from furrow.components.layouts import LABEL, SYNONYMS
from furrow.components.preferences import CHOSEN, REJECTED, VERDICT
from furrow.components.records import Row
from furrow.strategies.schema import Strategy
from furrow.strategies.wiring import Wired

READ = frozenset(
    {"text", "system", "tools", "margin", *PARTS, *ANSWER, *MESSAGES, *CHOSEN, *REJECTED, *VERDICT, *LABEL}
)
"""Columns that mean something by themselves."""
_PLANS_KEPT = 1000


class Said:
    """Prints of rows, by what the templates and the objective of a strategy read."""

    def __init__(self, read: frozenset[str] | None) -> None:
        """`read`: columns beside READ; None where all columns may be read."""
        self._read = read
        self._plans: dict[tuple[str, ...], dict[str, str] | None] = {}

    @classmethod
    def of(cls, strategy: Strategy) -> Said:
        """As its templates read rows; one of another package may read anything."""
        read = {str(name) for name in _label_columns(strategy)}
        for template in (strategy.prompt_template, *(entry.template for entry in strategy.dataset.mix)):
            if template is not None:
                placeholders = _placeholders(template)
                if placeholders is None:
                    return cls(None)
                read.update(placeholders)
        return cls(frozenset(read))

    def print(self, row: Row, said: str | None = None) -> bytes:
        """16 bytes. `said`: what `canonical` gives, where it is known."""
        names = tuple(row.columns)
        if names not in self._plans:
            if len(self._plans) == _PLANS_KEPT:  # a file of hostile make has other columns in every row
                self._plans.clear()
            self._plans[names] = self._plan(names)
        plan = self._plans[names]
        if plan is None:
            return fingerprint(row, said)
        columns = {plan[name]: value for name, value in row.columns.items() if name in plan}
        return hashlib.blake2b(canonical(Row(columns, row.where)).encode("ascii"), digest_size=16).digest()

    def _plan(self, names: Sequence[str]) -> dict[str, str] | None:
        """Column -> the name of its meaning; None where all columns count, under their own names."""
        if self._read is None or READ.isdisjoint(names):
            return None
        kept = [name for name in names if name in READ or name in self._read]
        plan = {name: name for name in kept}
        for same in SYNONYMS:  # where the row has one of them
            there = [name for name in kept if name in same]
            if len(there) == 1:
                plan[there[0]] = same[0]
        changed = [name for name in names if name not in NUMBERING and plan.get(name) != name]
        return plan if changed else None


def _label_columns(strategy: Strategy) -> Iterable[Any]:
    column = getattr(getattr(strategy.fine_tuner.config, "objective", None), "label_column", None)
    return () if column is None else (column,)


def _placeholders(template: Wired) -> Sequence[str] | None:
    """Columns that it reads by name, beside those of a conversation; None where nobody knows."""
    if not template.component.factory.startswith("furrow."):
        return None
    named: Sequence[str] = getattr(template.config, "placeholders", ())
    return named
