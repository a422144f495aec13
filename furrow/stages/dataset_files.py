"""A dataset file becomes rows, by the reader that its ending asks for."""

from __future__ import annotations

from pathlib import Path

from furrow.components.dataset_reader import DatasetReader
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.components.registry import factory, find
from furrow.strategies.wiring import Wired

READERS: dict[str, tuple[str, dict[str, str]]] = {
    ".jsonl": ("jsonl", {}),
    ".ndjson": ("jsonl", {}),
    ".json": ("json", {}),
    ".csv": ("csv", {}),
    ".tsv": ("csv", {"delimiter": "\t"}),
}
"""A file's ending -> the reader's type and its settings."""


def read_rows(path: Path, reader: Wired | None = None) -> list[Row]:
    """Every row of the file, by `reader` where one is wired. Raises RequestError for a bad row, by file:line."""
    return list(reader_for(path, reader).read(path))


def reader_for(path: Path, reader: Wired | None = None) -> DatasetReader:
    """The reader of this file. Raises RequestError for an ending that says nothing."""
    if reader is not None:
        return factory(reader.component)(reader.config)
    if not path.exists():
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
