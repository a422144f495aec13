"""A dataset file becomes rows, by the reader that its ending asks for."""

from __future__ import annotations

import os
from pathlib import Path

from furrow.components.dataset_reader import BadRow, DatasetReader
from furrow.components.errors import FurrowError, RequestError
from furrow.components.records import Row
from furrow.components.registry import factory, find
from furrow.stages.data.bad_rows import SHOWN, BadRows, judge, together
from furrow.strategies.wiring import Wired

READERS: dict[str, tuple[str, dict[str, str]]] = {
    ".jsonl": ("jsonl", {}),
    ".ndjson": ("jsonl", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"delimiter": "\t"}),
}
"""A file's ending -> the reader's type and its settings."""


def read_rows(path: Path, reader: Wired | None = None, bad: BadRows | None = None) -> list[Row]:
    """Every good row of the file, by `reader` where one is wired; the others go to `bad`.

    Raises RequestError by file:line for bad rows, the first SHOWN of them, unless `bad` sets them aside, and for a file
    most of whose rows are.
    """
    bad = bad or BadRows()
    rows: list[Row] = []
    found: list[BadRow] = []
    try:
        for row in reader_for(path, reader).read(path):
            if isinstance(row, Row):
                rows.append(row)
                continue
            if not isinstance(row, BadRow):
                what = f"the reader gave {type(row).__name__} for a row, and must give Row or BadRow"
                raise FurrowError(what, where=str(path))
            found.append(bad.add(row) if bad.skip else row)
            if not bad.skip and (not rows or len(found) == SHOWN):  # no good row before it: it is the whole file
                break
    except RequestError as error:
        if bad.skip or not found:
            raise
        found.append(BadRow(error.what, error.where or str(path), error.remedy))
    if found and not bad.skip:
        raise together(found)
    bad.seen += len(rows) + len(found)
    judge(found, len(rows) + len(found))
    return rows


def reader_for(path: Path, reader: Wired | None = None) -> DatasetReader:
    """The reader of this file. Raises RequestError for an ending that says nothing."""
    if reader is not None:
        return factory(reader.component)(reader.config)
    if not os.path.lexists(path):
        looked = "" if path.is_absolute() else f" (looked in {Path.cwd()})"
        raise RequestError(
            f"there is no file {path}{looked}", remedy="a relative path counts from where the command runs"
        )
    if path.suffix.lower() not in READERS:
        raise RequestError(
            f"the ending of {path.name} does not say how to read it",
            where=str(path),
            remedy=f"known: {', '.join(READERS)}; or choose one with dataset.reader",
        )
    kind, settings = READERS[path.suffix.lower()]
    component = find("dataset_reader", kind)
    return factory(component)(component.config(**settings))
