"""A file read as a run reads it, for tests of what becomes of its rows."""

from __future__ import annotations

from pathlib import Path

from furrow.components.records import Row
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.gather import Source, rows_in
from furrow.strategies.schema import DatasetConfig


def read_rows(path: Path, bad: BadRows | None = None) -> list[Row]:
    """Every good row; the others go to `bad`, and end the reading where there is none."""
    return list(rows_in(Source("train_file", path, DatasetConfig()), bad or BadRows()))
