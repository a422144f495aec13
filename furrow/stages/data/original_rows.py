"""Rows of a file written into another one, as they stood there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from furrow.components.data_files.recognition import held_by
from furrow.components.records import Row
from furrow.stages.data.file_types import PACKED_ENDINGS
from furrow.strategies.schema import DatasetConfig


def beside(input: Path, folder: Path | None, side: str) -> Path:
    """`<stem>_<side>.jsonl` in that folder, or beside the input."""
    name = Path(input.name)
    stem = name.with_suffix("").stem if name.suffix.lower() in PACKED_ENDINGS else name.stem
    return (folder if folder is not None else input.parent) / f"{stem}_{side}.jsonl"


def is_lines(input: Path, dataset: DatasetConfig) -> bool:
    """Whether a row is a line of the file, as it stands."""
    if input.is_dir() or (dataset.reader is not None and dataset.reader.type != "jsonl"):
        return False
    held = held_by(input)
    return held.packed is None and held.content == "jsonl"


def original_lines(source: Path, rows: Iterable[Row]) -> Iterator[bytes]:
    """The lines of these rows, which are in its order, as they stand in the file; a BOM goes, a missing last newline
    comes."""
    wanted = (int(row.where.rpartition(":")[2]) for row in rows)
    following = next(wanted, None)
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number == following:
                line = line.removeprefix(b"\xef\xbb\xbf")
                yield line if line.endswith(b"\n") else line + b"\n"
                following = next(wanted, None)


def as_line(row: Row) -> bytes:
    columns: dict[str, Any] = dict(row.columns)
    return json.dumps(columns, ensure_ascii=False).encode() + b"\n"
