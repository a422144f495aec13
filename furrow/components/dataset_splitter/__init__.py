"""Slot `dataset_splitter`: rows become training rows and evaluation rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from furrow.components.records import Row


class DatasetSplitter(Protocol):
    """The factory takes the config and returns one of these."""

    def split(self, rows: Sequence[Row], eval_share: float) -> tuple[list[Row], list[Row]]:
        """(train, eval), each in the order of the file; `eval_share` in 0..1. Equal rows land on the same side."""
        ...
