"""Data sets of the hub, at one commit, and folders that `save_to_disk` wrote; both through the library `datasets`."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
from huggingface_hub import HfApi, get_token

from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.arrow_rows import ROWS, rows_of, verified_columns
from furrow.components.dataset_reader.hub_datasets.component import DatasetsConfig
from furrow.components.errors import FurrowError, RequestError, did_you_mean
from furrow.components.models.snapshot import verify_token
from furrow.components.records import Row

_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FORMATS = ("arrow", "csv", "json", "parquet", "text")
"""Builders of `datasets` whose rows are tables of values. The others read pictures, sounds, or archives of anything."""


class HubDatasets:
    """Reads one split, `where` = name:row, the rows counted from 1."""

    def __init__(self, config: DatasetsConfig) -> None:
        self._config = config

    def identity(self, path: Path) -> dict[str, str] | None:
        """The commit that is read; None for a folder, whose files say what it is."""
        return None if path.is_dir() else {"commit": self._commit(str(path))}

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every row of the split. Raises RequestError for a name, configuration or split that is not there, FurrowError
        where the hub does not answer."""
        found = self._saved(path) if path.is_dir() else self._of_hub(str(path))
        number = 0
        with _told(str(path)):
            columns = verified_columns(list(found.column_names or ()), self._config.columns, str(path))
            if columns:
                found = found.select_columns(columns)
            for table in found.with_format("arrow").iter(ROWS):
                for batch in _batches(table):
                    yield from rows_of(batch, str(path), number + 1, "datasets")
                    number += len(batch)
        if not number:
            raise RequestError(f"the split {self._config.split!r} holds no rows", where=str(path))

    def _saved(self, folder: Path) -> Any:
        if not any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
            raise RequestError(
                "the folder was not written by save_to_disk",
                where=str(folder),
                remedy="leave dataset.reader out to read a folder of .jsonl, .parquet or other files",
            )
        with _told(str(folder)):
            found = datasets.load_from_disk(str(folder))
        if not isinstance(found, datasets.DatasetDict):
            return found
        return found[self._the_split(list(found), str(folder))]

    def _of_hub(self, name: str) -> Any:
        if not _ID.fullmatch(name):
            raise RequestError(
                f"{name!r} is no folder here, and no name of a data set", remedy="the hub's names look like owner/name"
            )
        commit = self._commit(name)
        with _told(name):
            builder = datasets.load_dataset_builder(name, self._config.name, revision=commit)
            kind = type(builder).__module__.rpartition(".")[2]
            if kind not in _FORMATS:
                raise RequestError(
                    f"the data set is read by the builder {kind!r}: its rows are no table of texts and numbers",
                    where=name,
                    remedy=f"there is: {', '.join(_FORMATS)}",
                )
            if not self._config.streaming:
                builder.download_and_prepare()
                return builder.as_dataset(self._the_split(list(builder.info.splits or ()), name))
            splits = builder.as_streaming_dataset()
            return splits[self._the_split(list(splits), name)]

    def _the_split(self, there: list[str], where: str) -> str:
        if self._config.split not in there:
            raise RequestError(
                f"there is no split {self._config.split!r}",
                where=where,
                remedy=f"{did_you_mean(self._config.split, there)}; dataset.reader: {{type: datasets, split: …}}",
            )
        return self._config.split

    def _commit(self, name: str) -> str:
        revision = self._config.revision
        return revision if revision and _COMMIT.fullmatch(revision) else _newest(name, revision)


@functools.cache
def _newest(name: str, revision: str | None) -> str:
    """The commit that the hub had when this process asked first."""
    verify_token(get_token())
    with _told(name):
        return str(HfApi().dataset_info(name, revision=revision).sha)


def _batches(table: pa.Table) -> Iterable[pa.RecordBatch]:
    return table.to_batches(max_chunksize=ROWS)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """What the libraries raise, of many kinds, as one error in their own words."""
    try:
        yield
    except FurrowError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:500] or type(error).__name__
        if "scripts are no longer supported" in reason:
            raise RequestError(
                "the data set is a program that would have to be run, and it is not",
                where=name,
                remedy="many have a copy of their rows as Parquet: dataset.reader: {type: datasets, revision: "
                "refs/convert/parquet}",
            ) from error
        kind = RequestError if isinstance(error, ValueError | LookupError) else FurrowError
        raise kind(f"the data set cannot be read: {reason}", where=name) from error
