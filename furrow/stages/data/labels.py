"""Which class a row belongs to: a name or a number in its label column becomes the number of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from furrow.components.columns import listed
from furrow.components.errors import RequestError, nearest, shortened
from furrow.components.messages import json_kind
from furrow.components.records import Row

COLUMNS = ("label", "labels")
"""Where a label stands if the strategy does not say."""
SHOWN = 20
"""Classes that an error lists."""


@dataclass(frozen=True)
class Labels:
    """The classes in the order of their numbers; `named`: whether the strategy names them, so that a number in a row
    is a place in this order."""

    names: tuple[str, ...]
    column: str | None
    named: bool

    def number(self, row: Row) -> int:
        """The class of the row. Raises RequestError with `file:line` for a label that is none of them."""
        label = label_of(row, self.column)
        if label in self.names:
            return self.names.index(label)
        if self.named and _is_number(label) and int(label) < len(self.names):
            return int(label)
        near = nearest(label, self.names)
        known = ", ".join(map(shortened, self.names[:SHOWN])) + (" …" if len(self.names) > SHOWN else "")
        source = "" if self.named else "; the classes are those of the training rows, or what objective.labels names"
        raise RequestError(
            f"the label {shortened(label)!r} is none of the {len(self.names)} classes",
            where=row.where,
            remedy=(f"did you mean {near!r}? " if near else "") + f"there is: {known}{source}",
        )


def labels_of(rows: Sequence[Row], names: tuple[str, ...], column: str | None) -> Labels:
    """The classes that the strategy names, else those that occur in these rows: in the order of the alphabet, or of
    the numbers where all of them are numbers. Raises RequestError where there are fewer than two."""
    if names:
        return Labels(names, column, named=True)
    found = {label_of(row, column) for row in rows}
    if len(found) < 2:
        raise RequestError(
            f"every training row has the same class, {found.pop()!r}" if found else "there is no training row",
            where="objective.labels",
            remedy="two classes are wanted at least",
        )
    numbers = all(map(_is_number, found))
    return Labels(tuple(sorted(found, key=lambda label: (int(label) if numbers else 0, label))), column, named=False)


def label_of(row: Row, column: str | None) -> str:
    """The label as text; true and false, and whole numbers, are written as JSON writes them."""
    name = column or next((name for name in COLUMNS if row.columns.get(name) is not None), COLUMNS[0])
    value = row.columns.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str) and value.strip():
        return value.strip()
    if name in row.columns:
        kind = "empty" if isinstance(value, str) else json_kind(value)
        raise RequestError(f"column {name!r} is {kind}; a name or a whole number is wanted", where=row.where)
    raise RequestError(
        f"there is no column {name!r} with the class among: {listed(row)}",
        where=row.where,
        remedy="name the one that is meant in objective.label_column",
    )


def _is_number(label: str) -> bool:
    """Of at most 18 digits: Python refuses to read a number of thousands."""
    return label.isascii() and label.isdigit() and len(label) <= 18
