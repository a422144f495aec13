"""What walks through the house: a row, its segments, the example made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Row:
    """One record of a dataset: `columns` as the file names them, `where` it stands (`file:line`)."""

    columns: Mapping[str, Any]
    where: str


class Segment(NamedTuple):
    """A piece of rendered text. `learned`: the model is trained to write it. `end`: its end token, text ''."""

    text: str
    learned: bool = False
    end: bool = False


END = Segment("", learned=True, end=True)
"""The model's own end token, always learned."""


class Example(NamedTuple):
    """What the model sees of one row: token ids, and for each whether it is learned (same length)."""

    input_ids: list[int]
    learned: list[bool]
    where: str
