"""A folder as one data set: shards of one format in the order of their names, or texts, or what save_to_disk wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from furrow.components.data_files.folder import files_below
from furrow.components.dataset_reader import BadRow, DatasetReader
from furrow.components.errors import RequestError, several
from furrow.components.records import Row
from furrow.stages.data.file_types import Chosen, by_ending

SAVED = ("state.json", "dataset_dict.json")
"""What `save_to_disk` of the library datasets leaves in a folder."""
_BESIDE = ("dataset_info.json", "dataset_infos.json", "package.json")
"""Files that tell of a data set and hold no rows."""
_SPLIT = re.compile(r"(?<![a-z])(train|test|valid|val|dev|eval)(ing|idation|uation)?(?![a-z])")
_SAME_SPLIT = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}


class Shards:
    """Reads one file after another, each by a reader of its own."""

    def __init__(self, files: Sequence[Path], reader_of: Callable[[Path], DatasetReader]) -> None:
        self._files, self._reader_of = files, reader_of

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every row of every file; `path` is the folder."""
        del path
        for file in self._files:
            yield from self._reader_of(file).read(file)


def kind_of(folder: Path) -> str:
    """The reader's type: `datasets`, `text`, or that of the shards.

    Raises RequestError where nothing there is data, or it is of several formats.
    """
    files = files_below(folder)
    if any((folder / name).is_file() for name in SAVED):
        return "datasets"
    kinds = Counter(said.type for file in files if (said := _said(file)))
    if not kinds:
        raise RequestError("the folder holds no data", where=str(folder), remedy="wanted is a file, e.g. .jsonl or .md")
    shards = [kind for kind in kinds if kind != "text"]
    if len(shards) > 1:
        counted = ", ".join(f"{kinds[kind]} of {kind}" for kind in sorted(shards))
        raise RequestError(
            f"the folder holds files of several formats: {counted}",
            where=str(folder),
            remedy="name the one that is meant, e.g. `dataset.reader: jsonl`, or several sets in dataset.mix",
        )
    return shards[0] if shards else "text"


def shards_of(folder: Path, kind: str) -> tuple[list[Path], list[Path]]:
    """(the files of that format, the others). An empty file is among the others, and what is no file.

    Raises RequestError where there is none, and where they are several splits: a test set is not to be learned.
    """
    chosen, others = list[Path](), list[Path]()
    for file in files_below(folder):
        said = _said(file)
        is_one = said is not None and said.type == kind and file.is_file() and file.stat().st_size > 0
        (chosen if is_one else others).append(file)
    if not chosen:
        raise RequestError(f"the folder holds no file for the reader {kind}", where=str(folder))
    splits = Counter(split for file in chosen if (split := _split(file.relative_to(folder))))
    if len(splits) > 1:
        counted = ", ".join(f"{name} ({count} files)" for name, count in sorted(splits.items()))
        raise RequestError(
            f"the folder holds several splits, by the names of its files: {counted}",
            where=str(folder),
            remedy="name a file, or a folder that holds one of them",
        )
    return chosen, others


def told(folder: Path, kind: str, chosen: Sequence[Path], others: Sequence[Path]) -> str:
    """What is read of the folder, and what is not."""
    endings = sorted({"".join(file.suffixes[-2:]) or file.name for file in others})
    left_out = f"; {len(others)} others are not ({several(endings)})" if others else ""
    return f"{len(chosen)} files of {folder} are read as {kind}, in the order of their names{left_out}"


def _said(file: Path) -> Chosen | None:
    return None if file.name in _BESIDE else by_ending(file)


def _split(path: Path) -> str | None:
    found = _SPLIT.search(path.as_posix().lower())
    return None if found is None else _SAME_SPLIT.get(found[1], found[1])
