"""Files become rows on disk: read, their columns named, their text normalised, the flawed ones counted and left out."""

from __future__ import annotations

import collections
import itertools
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from furrow.components.columns import MESSAGES, PARTS, listed
from furrow.components.dataset_reader import BadRow
from furrow.components.errors import FurrowError, RequestError, shortened
from furrow.components.events import Emit
from furrow.components.fingerprint import DataPrint, canonical
from furrow.components.layouts import Layouts
from furrow.components.preferences import CHOSEN, REJECTED
from furrow.components.progress import counted
from furrow.components.records import Row
from furrow.components.stored.rows import RowWriter
from furrow.stages.data.bad_rows import JUDGED_AT, SHOWN, BadRows, judge, together
from furrow.stages.data.dataset_files import identity, reader_for
from furrow.stages.data.dropped import DroppedRows
from furrow.stages.data.quality.rules import Rules
from furrow.stages.data.said import Said
from furrow.strategies.quality_rules import quality_config
from furrow.strategies.schema import DatasetConfig, MixSource, Strategy

LOOK_ON = 100_000
"""Rows that are still read behind a bad one that ends the run, for others to be named with it."""
LONG = 256 << 20
"""Bytes of a file whose first rows are tried before anything else is done with it."""
TRIED = 1_000


@dataclass(frozen=True)
class Source:
    """One set of rows. `key` is where the strategy names it (`train_file`, `mix.0.file`), `number` its place in a
    mix; rows that are measured on, and have a file of their own, come behind those of the mix."""

    key: str
    path: Path
    config: DatasetConfig | MixSource
    number: int = 0

    @property
    def prefix(self) -> str:
        return self.config.prefix if isinstance(self.config, MixSource) else ""


def train_sources(dataset: DatasetConfig) -> list[Source]:
    """What is learned. Raises RequestError where nothing is named."""
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
    return Source("eval_file", Path(dataset.eval_file).expanduser(), dataset, len(dataset.mix))


def all_sources(dataset: DatasetConfig) -> list[Source]:
    """What is learned, and what is measured on where a file of its own is named. Raises as `train_sources`."""
    measured = eval_source(dataset)
    return [*train_sources(dataset), *([measured] if measured else [])]


def identities(dataset: DatasetConfig, emit: Emit) -> dict[str, Any]:
    """What says of each set of rows that it is the same another time. Raises RequestError where no set is named."""
    return {source.key: identity(source.path, source.config.reader, emit) for source in all_sources(dataset)}


def try_beginnings(strategy: Strategy) -> None:
    """Raises what reading a long file will raise about its first rows, before minutes are spent on hashing it."""
    for source in all_sources(strategy.dataset):
        if source.path.is_file() and source.path.stat().st_size > LONG:
            bad = BadRows(skip=strategy.dataset.on_bad_row == "skip")
            rows = rows_in(source, bad, layouts_of(source, _objective(strategy)))
            collections.deque(itertools.islice(rows, TRIED), maxlen=0)


class Gathering:
    """Appends the rows of sources to one writer, and keeps account of the others."""

    def __init__(self, writer: RowWriter, strategy: Strategy, bad: BadRows, dropped: DroppedRows, emit: Emit):
        self._writer, self._bad, self._dropped, self._emit = writer, bad, dropped, emit
        self._form = strategy.data_preprocessing.unicode_normalization
        self._objective = _objective(strategy)
        self._said = Said.of(strategy)
        self._prefixes: dict[int, str] = {}
        self.prints: dict[str, Any] = {}
        """For the manifest: what the rows of each source say, before any is taken out."""
        self.seen = 0
        """Rows kept so far."""
        config = quality_config(strategy.data_preprocessing.filter_quality)
        self._rules = None if config is None else Rules(config)

    def add(self, source: Source) -> range:
        """The numbers of its rows.

        Raises RequestError for a bad row by file:line, unless they are set aside, and where most of them are.
        """
        first, said = self.seen, DataPrint()
        self._prefixes[source.number] = source.prefix
        layouts = layouts_of(source, self._objective)
        found = rows_in(source, self._bad, layouts, self._emit)
        for read in counted(found, self._emit, f"reading {source.path.name}"):
            plain = normalised(read, self._form)
            row = self._prefixed(plain, source)
            if row is None:
                continue
            text = canonical(row)
            said.add(text)
            if self._rules is None or self._is_whole(row, self._rules):
                self._writer.append(row, self._said.print(plain, text if row is plain else None))
                self.seen += 1
        self.prints[source.key] = said.facts()
        if recognised := layouts.recognised(str(source.path)):
            self._emit(recognised)
        return range(first, self.seen)

    def print_of(self, row: Row) -> bytes:
        """What a row says that is made of others: the prefix of its set says nothing."""
        prefix = self._prefixes[row.source]
        return self._said.print(unprefixed(row, prefix) if prefix else row)

    def _prefixed(self, row: Row, source: Source) -> Row | None:
        """None for a row that was set aside: it has no question."""
        if not source.prefix:
            return row
        with self._bad.looking_at(row):
            return prefixed(row, source.prefix)
        return None

    def _is_whole(self, row: Row, rules: Rules) -> bool:
        with self._bad.looking_at(row):
            flaw = rules.flaw(row)
            if flaw is not None:
                self._dropped.add(row, f"filter_quality.{flaw.rule}", flaw.reason)
            return flaw is None
        return False  # it was set aside


def rows_in(
    source: Source, bad: BadRows, layouts: Layouts | None = None, emit: Emit = lambda event: None
) -> Iterator[Row]:
    """Every good row of the source, its columns named by `layouts`; the others go to `bad`.

    Raises RequestError by file:line for bad rows, the first SHOWN of them, unless `bad` sets them aside, and for a file
    most of whose rows are. Where it raises, rows before the first bad one have been given already.
    """
    found: list[BadRow] = []
    good = at_first = 0
    try:
        for read in reader_for(source.path, source.config.reader, emit).read(source.path):
            item = layouts.laid_out(read) if layouts is not None and isinstance(read, Row) else read
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
            if good + len(found) == JUDGED_AT:
                judge(found, JUDGED_AT)
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


def _objective(strategy: Strategy) -> Any:
    return getattr(strategy.fine_tuner.config, "objective", None)


def layouts_of(source: Source, objective: Any) -> Layouts:
    """What lays out the rows of this source; `objective` is the strategy's, or None."""
    return Layouts(
        source.config.format,
        {str(meaning): column for meaning, column in source.config.columns.items()},
        classes=getattr(objective, "type", "") == "classification",
        label_column=getattr(objective, "label_column", None),
        where="dataset" if source.key.endswith("_file") else f"dataset.mix.{source.number}",
    )


def normalised(row: Row, form: str | None) -> Row:
    """The row in this form of Unicode (None: as it is)."""
    if form is None:
        return row
    return replace(row, columns={name: _normalised(value, form) for name, value in row.columns.items()})


def _normalised(value: Any, form: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else unicodedata.normalize(form, value)
    if isinstance(value, list):
        return [_normalised(inner, form) for inner in value]
    if isinstance(value, dict):
        return {name: _normalised(inner, form) for name, inner in value.items()}
    return value


def prefixed(row: Row, prefix: str) -> Row:
    """The row with `prefix` before its question: the first part of it that is there, the first message of the user
    (in the prompt, or in either answer of a pair), or the text.

    Raises RequestError, with `file:line`, for a row without a question.
    """
    changed = _with_question(row, lambda question: prefix + question)
    if changed is None:
        raise RequestError(
            f"there is no question to put the prefix {shortened(prefix)!r} before; columns: {listed(row)}",
            where=row.where,
            remedy="name its columns in dataset.mix.columns, or leave the prefix out",
        )
    return changed


def unprefixed(row: Row, prefix: str) -> Row:
    """The row as it was before `prefixed`."""
    return _with_question(row, lambda question: question.removeprefix(prefix)) or row


def _with_question(row: Row, change: Callable[[str], str]) -> Row | None:
    """None where there is no question."""
    asked = (*MESSAGES, *PARTS, "text")
    name = next((name for name in asked if isinstance(row.columns.get(name), str | list) and row.columns[name]), None)
    conversations = [each for each in (*CHOSEN, *REJECTED) if isinstance(row.columns.get(each), list)]
    for names in ([name] if name else [], conversations):  # a pair of conversations has the question in both
        said = {each: _changed(row.columns[each], change) for each in names}
        if said and None not in said.values():
            return replace(row, columns={**row.columns, **said})
    return None


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    """A text, or messages of which the first by the user is another one; None where there is no such."""
    if isinstance(value, str):
        return change(value)
    for place, message in enumerate(value if isinstance(value, list) else ()):
        if isinstance(message, dict) and message.get("role", message.get("from")) in ("user", "human"):
            key = "value" if "from" in message else "content"
            content = _changed_content(message.get(key), change)
            return None if content is None else [*value[:place], {**message, key: content}, *value[place + 1 :]]
    return None


def _changed_content(content: Any, change: Callable[[str], str]) -> Any:
    """A text, or a list of parts of which the first text is another one."""
    if isinstance(content, str):
        return change(content)
    for place, part in enumerate(content if isinstance(content, list) else ()):
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            return [*content[:place], {**part, "text": change(part["text"])}, *content[place + 1 :]]
    return None
