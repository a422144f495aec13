"""CSV with a header: every value is text."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from furrow.components.config import Config
from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.dataset_reader.lines import LONGEST, numbered_lines
from furrow.components.errors import RequestError, several, shortened
from furrow.components.records import Row
from furrow.components.registry import Component


class CsvConfig(Config):
    """How the fields are told apart; quotes are double quotes, doubled within a field."""

    delimiter: Literal[",", ";", "\t", "|"] = ","
    """The character between two fields."""


MOST_COLUMNS = 10_000
MOST_DELIMITERS = 1_000_000
MOST_LINES = 100_000
"""Of one row, those within quotes too."""


class _Lines(Iterator[str]):
    """The lines of the file one by one, for the csv module, with the beginning of the row that they belong to. Keeps a
    row within bounds that has more and more lines, since a quote is open."""

    def __init__(self, path: Path, delimiter: str) -> None:
        self._lines, self._path, self._delimiter = numbered_lines(path), path, delimiter
        self._number = self._size = self._delimiters = self._count = 0
        self._where = self.row = ""
        self.ended = False

    def begin_row(self) -> str:
        """Where the next row begins."""
        self.row, self._size, self._delimiters, self._count = "", 0, 0, 0
        self._where = f"{self._path}:{self._number + 1}"
        return self._where

    def __next__(self) -> str:
        numbered = next(self._lines, None)
        if numbered is None:
            self.ended = True
            raise StopIteration
        self._number, line = numbered
        if isinstance(line, BadRow):
            raise line.error()
        self._size += len(line)
        self._delimiters += line.count(self._delimiter)
        self._count += 1
        for is_over, bound in (
            (self._size > LONGEST, f"{LONGEST >> 20} MiB"),
            (self._delimiters > MOST_DELIMITERS, f"{MOST_DELIMITERS:,} fields"),
            (self._count > MOST_LINES, f"{MOST_LINES:,} lines"),
        ):
            if is_over:
                raise RequestError(f"the row has more than {bound}", where=self._where, remedy="is a quote not closed?")
        if len(self.row) < TEXT_KEPT:
            self.row += line[: TEXT_KEPT - len(self.row)]
        return line


class CsvTable:
    """Reads one row at a time; a quoted field may hold newlines, blank lines between rows are passed over."""

    def __init__(self, config: CsvConfig) -> None:
        self._delimiter = config.delimiter

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every row under the header, `where` = file:line where it begins; one with another number of fields, or with
        text beside its quotes, is a BadRow.

        Raises RequestError for a missing or unclear header, and for quotes that do not close: they swallow the rest.
        """
        rows = self._fields(path)
        where, header, _ = next(rows, (f"{path}:1", [], ""))
        if isinstance(header, str):
            raise RequestError(header, where=where)
        self._verify_header(header, where)
        empty = True
        for where, fields, text in rows:
            empty = False
            if isinstance(fields, str):
                yield BadRow(fields, where, text=text)
            elif len(fields) != len(header):
                yield BadRow(
                    f"the row has {len(fields)} fields, the header names {len(header)}: {several(header)}",
                    where,
                    'put a field that holds the delimiter or a newline in "quotes"',
                    text,
                )
            else:
                yield Row(dict(zip(header, fields, strict=True)), where)
        if empty:
            raise RequestError("the file holds no rows under its header", where=str(path))

    def _fields(self, path: Path) -> Iterator[tuple[str, list[str] | str, str]]:
        """(where it begins, its fields or what is wrong with it, its beginning) of every line that is not blank, the
        header included."""
        lines = _Lines(path, self._delimiter)
        reader = csv.reader(lines, delimiter=self._delimiter, strict=True)
        while True:
            where = lines.begin_row()
            try:
                with _long_fields():
                    fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if lines.ended:
                    raise RequestError(
                        f"invalid CSV in the row that begins here: {error}",
                        where=where,
                        remedy="a quote that opens a field is not closed before the file ends",
                    ) from error
                yield where, f"invalid CSV in the row that begins here: {error}", lines.row
            else:
                if len(fields) > 1 or "".join(fields).strip():
                    yield where, fields, lines.row

    def _verify_header(self, header: list[str], where: str) -> None:
        if not any(header):
            raise RequestError("the file has no header that names the columns", where=where)
        if len(header) > MOST_COLUMNS:
            raise RequestError(f"the header names {len(header):,} columns, {MOST_COLUMNS:,} at most", where=where)
        if "" in header:
            raise RequestError(
                f"column {header.index('') + 1} of the header has no name",
                where=where,
                remedy="pandas writes an index column like this; leave it out with to_csv(index=False)",
            )
        twice = next((name for name, count in Counter(header).items() if count > 1), None)
        if twice:
            raise RequestError(f"the header names the column {shortened(twice)!r} twice", where=where)
        other = next((mark for mark in ";\t|," if len(header) == 1 and mark in header[0]), None)
        if other:
            raise RequestError(
                f"the header is one column, {shortened(header[0])!r}",
                where=where,
                remedy=f"the delimiter may be {other!r}",
            )


@contextmanager
def _long_fields() -> Iterator[None]:
    """The module's own limit is 128 KiB, and would refuse a long document. It holds for everybody: it is put back."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


COMPONENT = Component(
    summary="CSV with a header (.csv)",
    config=CsvConfig,
    factory="furrow.components.dataset_reader.csv_table:CsvTable",
)
