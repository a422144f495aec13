"""CSV with a header: every value is text."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from furrow.components.config import Config
from furrow.components.dataset_reader.lines import LONGEST, numbered_lines
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.components.registry import Component


class CsvConfig(Config):
    """How the fields are told apart; quotes are double quotes, doubled within a field."""

    delimiter: Literal[",", ";", "\t", "|"] = ","
    """The character between two fields."""


class CsvTable:
    """Reads one row at a time; a quoted field may hold newlines, blank lines between rows are passed over."""

    def __init__(self, config: CsvConfig) -> None:
        self._delimiter = config.delimiter

    def read(self, path: Path) -> Iterator[Row]:
        """Every row under the header, `where` = file:line where it begins.

        Raises RequestError for a missing or unclear header, a wrong number of fields, and quotes that do not close.
        """
        rows = self._fields(path)
        where, header = next(rows, (f"{path}:1", []))
        self._verify_header(header, where)
        empty = True
        for where, fields in rows:
            if len(fields) != len(header):
                raise RequestError(
                    f"the row has {len(fields)} fields, the header names {len(header)}: {', '.join(header)}",
                    where=where,
                    remedy='put a field that holds the delimiter or a newline in "quotes"',
                )
            yield Row(dict(zip(header, fields, strict=True)), where)
            empty = False
        if empty:
            raise RequestError("the file holds no rows under its header", where=str(path))

    def _fields(self, path: Path) -> Iterator[tuple[str, list[str]]]:
        """(where it begins, fields) of every line that is not blank, the header included."""
        previous_limit = csv.field_size_limit(LONGEST)  # the module's own 128 KiB would refuse a long document
        try:
            reader = csv.reader((line for _, line in numbered_lines(path)), delimiter=self._delimiter, strict=True)
            while True:
                where = f"{path}:{reader.line_num + 1}"
                try:
                    fields = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    raise RequestError(f"invalid CSV in the row that begins here: {error}", where=where) from error
                if len(fields) > 1 or "".join(fields).strip():
                    yield where, fields
        finally:
            csv.field_size_limit(previous_limit)

    def _verify_header(self, header: list[str], where: str) -> None:
        if not any(header):
            raise RequestError("the file has no header that names the columns", where=where)
        if "" in header:
            raise RequestError(
                f"column {header.index('') + 1} of the header has no name",
                where=where,
                remedy="pandas writes an index column like this; leave it out with to_csv(index=False)",
            )
        twice = next((name for name in header if header.count(name) > 1), None)
        if twice:
            raise RequestError(f"the header names the column {twice!r} twice", where=where)
        other = next((mark for mark in ";\t|," if len(header) == 1 and mark in header[0]), None)
        if other:
            raise RequestError(
                f"the header is one column, {header[0]!r}", where=where, remedy=f"the delimiter may be {other!r}"
            )


COMPONENT = Component(
    summary="CSV with a header (.csv)",
    config=CsvConfig,
    factory="furrow.components.dataset_reader.csv_table:CsvTable",
)
