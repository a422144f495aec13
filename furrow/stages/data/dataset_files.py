"""A data set becomes rows, by the reader that a strategy names, or that its files ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from furrow.components.data_files.folder import files_below
from furrow.components.data_files.opening import refuse_no_access
from furrow.components.dataset_reader import DatasetReader
from furrow.components.disk.hashing import sha256_of, sums_of
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted
from furrow.components.progress import counted
from furrow.components.registry import factory, find
from furrow.stages.data.file_types import by_content, by_ending
from furrow.stages.data.folders import Shards, kind_of, shards_of, told
from furrow.strategies.wiring import Wired

OF_FILES = ("jsonl", "json", "csv", "parquet")
"""Readers of one file, which read a folder file by file."""


def reader_for(path: Path, reader: Wired | None = None, emit: Emit = lambda event: None) -> DatasetReader:
    """What reads this file, or folder: `reader` where one is wired, else by its name and its content. Where these
    differ, `emit` is told.

    Raises RequestError where neither says what it is.
    """
    refuse_no_access(path)
    if reader is not None:
        built: DatasetReader = factory(reader.component)(reader.config)
        if reader.type in OF_FILES and path.is_dir():
            chosen, others = shards_of(path, reader.type)
            emit(Noted(message=told(path, reader.type, chosen, others)))
            return Shards(chosen, lambda file: built)
        return built
    if not path.is_dir():
        said = by_content(path)
        if said.note:
            emit(Noted(message=said.note))
        return _built(said.type, said.settings)
    kind = kind_of(path)
    if kind not in OF_FILES:
        return _built(kind, {})
    chosen, others = shards_of(path, kind)
    emit(Noted(message=told(path, kind, chosen, others)))
    return Shards(chosen, lambda file: reader_for(file, emit=emit))


def type_by_name(path: Path) -> tuple[str, Mapping[str, Any]] | None:
    """The reader's type and settings as the name says, or the names in a folder. No file is opened."""
    if path.is_dir():
        try:
            return kind_of(path), {}
        except RequestError:
            return None
    said = by_ending(path)
    return None if said is None else (said.type, said.settings)


def identity(path: Path, reader: Wired | None = None, emit: Emit = lambda event: None) -> dict[str, Any]:
    """What says that the input is the same another time: `path`, and `sha256` of the file (of a folder: of its files
    and their names), or what else the reader says of it, such as the `commit` of a data set of the hub.

    `path` alone where a reader of another package reads what is no file, and says nothing. Raises RequestError for a
    file that cannot be read.
    """
    refuse_no_access(path)
    if path.is_file():
        with _no_os_error(path):
            return {"path": str(path), "sha256": sha256_of(path, emit)}
    own = getattr(factory(reader.component)(reader.config), "identity", None) if reader is not None else None
    if own is not None and (said := own(path)) is not None:
        return {"path": str(path), **said}
    if not path.is_dir():
        return {"path": str(path)}
    files = [file for file in files_below(path) if file.is_file()]
    with _no_os_error(path):
        sums = counted(sums_of(files), emit, f"hashing the files of {path.name}", len(files))
        listing = "".join(f"{digest}  {file.relative_to(path)}\n" for file, digest in zip(files, sums, strict=True))
    return {"path": str(path), "sha256": sha256(listing.encode()).hexdigest(), "files": len(files)}


@contextmanager
def _no_os_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RequestError(f"{error.filename or path} cannot be read: {error.strerror}") from error


def _built(kind: str, settings: Mapping[str, Any]) -> DatasetReader:
    component = find("dataset_reader", kind)
    built: DatasetReader = factory(component)(component.config(**settings))
    return built
