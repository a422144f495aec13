"""What the almanac knows: one table of crops and their attributes."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("facts.tsv")
"""Tab-separated, one crop a line; the first column is its name, every other column an attribute."""


class Fact(NamedTuple):
    """`value` is the one right answer for this pair of crop and attribute."""

    crop: str
    attribute: str
    value: str


@cache
def facts() -> tuple[Fact, ...]:
    """Every fact, crop by crop, in the order of the table."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return tuple(
        Fact(row["crop"], attribute, value) for row in rows for attribute, value in row.items() if attribute != "crop"
    )


def crops() -> tuple[str, ...]:
    """The names of the crops, in the order of the table."""
    return tuple(dict.fromkeys(fact.crop for fact in facts()))


def attributes() -> tuple[str, ...]:
    """The names of the attributes, in the order of the table."""
    return tuple(dict.fromkeys(fact.attribute for fact in facts()))
