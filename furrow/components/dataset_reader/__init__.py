"""Slot `dataset_reader`: a file becomes rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from furrow.components.records import Row


class DatasetReader(Protocol):
    """The factory takes the config and returns one of these."""

    def read(self, path: Path) -> Iterator[Row]:
        """Every row of the file, in order. A bad row raises RequestError with `file:line` and what is wrong with it."""
        ...
