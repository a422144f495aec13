"""Files become rows on disk: read, their columns named, their text normalised, the flawed ones counted and left out."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from furrow.components.columns import MESSAGES, PARTS
from furrow.components.dataset_reader import BadRow
from furrow.components.errors import FurrowError, RequestError
from furrow.components.fingerprint import DataPrint, canonical, fingerprint
from furrow.components.records import Row
from furrow.components.stored.rows import RowWriter
from furrow.stages.data.bad_rows import SHOWN, BadRows, judge, together
from furrow.stages.data.dataset_files import reader_for
from furrow.stages.data.dropped import DroppedRows
from furrow.stages.data.quality import flaw
from furrow.strategies.schema import DatasetConfig, MixSource, PreprocessingConfig

LOOK_ON = 100_000
"""Rows that are still read behind a bad one that ends the run, for others to be named with it."""


@dataclass(frozen=True)
class Source:
    """One set of rows. `key` is where the strategy names it (`train_file`, `mix.0.file`), `number` its place in a
    mix."""

    key: str
    path: Path
    config: DatasetConfig | MixSource
    number: int = 0

    @property
    def prefix(self) -> str:
        return self.config.prefix if isinstance(self.config, MixSource) else ""


def train_sources(dataset: DatasetConfig) -> list[Source]:
    """What is learned. Raises RequestError where nothing is named, or two ways of it are."""
    if dataset.mix and dataset.train_file is not None:
        raise RequestError(
            "dataset.train_file and dataset.mix both say what is learned",
            where="dataset.mix",
            remedy="make the train_file an entry of the mix: {file: …, weight: …}",
        )
    if dataset.mix:
        return [
            Source(f"mix.{number}.file", Path(entry.file).expanduser(), entry, number)
            for number, entry in enumerate(dataset.mix)
        ]
    if dataset.train_file is None:
        raise RequestError(
            "no training data is named",
            where="dataset.train_file",
            remedy="name it there, or with --train-dataset FILE",
        )
    return [Source("train_file", Path(dataset.train_file).expanduser(), dataset)]


def eval_source(dataset: DatasetConfig) -> Source | None:
    """What is measured on, where a file of its own is named."""
    if dataset.eval_file is None:
        return None
    return Source("eval_file", Path(dataset.eval_file).expanduser(), dataset)


class Gathering:
    """Appends the rows of sources to one writer, and keeps account of the others."""

    def __init__(self, writer: RowWriter, preprocessing: PreprocessingConfig, bad: BadRows, dropped: DroppedRows):
        self._writer, self._preprocessing, self._bad, self._dropped = writer, preprocessing, bad, dropped
        self.prints: dict[str, Any] = {}
        """For the manifest: what the rows of each source say, before any is taken out."""
        self.seen = 0
        """Rows kept so far."""

    def add(self, source: Source, progress: Callable[[int], None]) -> range:
        """The numbers of its rows. `progress` is told now and then how many rows there are.

        Raises RequestError for a bad row by file:line, unless they are set aside, and where most of them are.
        """
        first, said = self.seen, DataPrint()
        prepare = _preparation(self._preprocessing.unicode_normalization, source.prefix)
        for read in rows_in(source, self._bad):
            row = prepare(read)
            text = canonical(row)
            said.add(text)
            if not self._preprocessing.filter_quality or self._is_whole(row):
                self._writer.append(row, fingerprint(row, text))
                self.seen += 1
                if self.seen % 1024 == 0:
                    progress(self.seen)
        self.prints[source.key] = said.facts()
        return range(first, self.seen)

    def _is_whole(self, row: Row) -> bool:
        with self._bad.looking_at(row):
            reason = flaw(row)
            if reason is not None:
                self._dropped.add(row, "filter_quality", reason)
            return reason is None
        return False  # it was set aside


def rows_in(source: Source, bad: BadRows) -> Iterator[Row]:
    """Every good row of the source; the others go to `bad`.

    Raises RequestError by file:line for bad rows, the first SHOWN of them, unless `bad` sets them aside, and for a file
    most of whose rows are. Where it raises, rows before the first bad one have been given already.
    """
    found: list[BadRow] = []
    good = at_first = 0
    try:
        for item in reader_for(source.path, source.config.reader).read(source.path):
            if isinstance(item, Row):
                good += 1
                if not found or bad.skip:
                    yield replace(item, source=source.number) if source.number else item
                elif good > at_first + LOOK_ON:
                    break
                continue
            if not isinstance(item, BadRow):
                what = f"the reader gave {type(item).__name__} for a row, and must give Row or BadRow"
                raise FurrowError(what, where=str(source.path))
            at_first = at_first or good
            found.append(bad.add(item) if bad.skip else item)
            if not bad.skip and (not good or len(found) == SHOWN):  # no good row before it: it is the whole file
                break
    except RequestError as error:
        if bad.skip or not found:
            raise
        found.append(BadRow(error.what, error.where or str(source.path), error.remedy))
    if found and not bad.skip:
        raise together(found)
    bad.seen += good + len(found)
    judge(found, good + len(found))


def _preparation(form: str | None, prefix: str) -> Callable[[Row], Row]:
    """What is done to every row before anything is asked of it."""

    def prepare(row: Row) -> Row:
        if form is not None:
            row = replace(row, columns={name: _normalised(value, form) for name, value in row.columns.items()})
        return prefixed(row, prefix) if prefix else row

    return prepare


def _normalised(value: Any, form: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize(form, value)
    if isinstance(value, list):
        return [_normalised(inner, form) for inner in value]
    if isinstance(value, dict):
        return {name: _normalised(inner, form) for name, inner in value.items()}
    return value


def prefixed(row: Row, prefix: str) -> Row:
    """The row with `prefix` before its question: the first part of it that is there, the first user message, or the
    text."""
    for name in MESSAGES:
        if isinstance(row.columns.get(name), list):
            return replace(row, columns={**row.columns, name: _prefixed_messages(row.columns[name], prefix)})
    for name in (*PARTS, "text"):
        value = row.columns.get(name)
        if isinstance(value, str) and value:
            return replace(row, columns={**row.columns, name: prefix + value})
    return row


def _prefixed_messages(messages: list[Any], prefix: str) -> list[Any]:
    changed = list(messages)
    for place, message in enumerate(messages):
        if isinstance(message, dict) and message.get("role", message.get("from")) in ("user", "human"):
            key = "value" if "from" in message else "content"
            changed[place] = {**message, key: f"{prefix}{message.get(key) or ''}"}
            break
    return changed
