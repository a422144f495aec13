"""Rows that cannot be used end the run, or are set aside, counted and kept where one can look at them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.disk.publish import publish_text
from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import RowsSetAside
from furrow.components.records import Row
from furrow.components.secrets import scrubbed_values
from furrow.components.stored.rows import StoredRows

FILE = "bad_rows.jsonl"
"""In the run folder: what was set aside, one row a line."""
MOST = 0.5
"""More than this share of the rows being bad is no data set with a few bad rows, but another file or another format."""
JUDGED_AT = 10_000
"""Rows after which that is judged for the first time: of those set aside memory keeps up to 1.5 kB each."""
SHOWN = 5
"""Rows that the event lists, and an error that ends the run; the file has all."""
_WHAT_KEPT = 500
_ALSO_KEPT = 200
"""Characters of what is wrong: in the file, and of a row that an error names beside the first."""
_SET_ASIDE = "mend them, or set them aside with dataset.on_bad_row: skip"


class BadRows:
    """What becomes of them: with `skip` they are set aside, else they end the run."""

    def __init__(self, *, skip: bool = False) -> None:
        self.found: list[BadRow] = []
        self.seen = 0
        """Rows read so far, the bad ones among them."""
        self.skip = skip
        self._rows: dict[int, BadRow] = {}
        """By number in StoredRows, or for rows in memory by id."""
        self._held: list[Row] = []  # rows in memory are kept, so that no other one can have their id

    def add(self, bad: BadRow) -> BadRow:
        if not self.skip:
            raise bad.error()
        self.found.append(BadRow(_cut(bad.what, _WHAT_KEPT), bad.where, bad.remedy, _cut(bad.text, TEXT_KEPT)))
        return self.found[-1]

    @contextmanager
    def looking_at(self, row: Row) -> Iterator[None]:
        """What the block raises about this row makes it a bad one; what it raises about anything else is raised on."""
        try:
            yield
        except FurrowError as error:
            self.caught(row, error)

    def caught(self, row: Row, error: FurrowError) -> None:
        """Makes it a bad row where the error is about it, else raises on."""
        if not self.skip or error.where != row.where:
            raise error
        key = _key(row)
        if key not in self._rows:
            self._rows[key] = self.add(BadRow(error.what, row.where, error.remedy, as_text(row)))
            if row.number < 0:
                self._held.append(row)

    def __contains__(self, row: Row) -> bool:
        return _key(row) in self._rows

    def without(self, rows: StoredRows) -> StoredRows:
        """The rows that were not set aside. Raises RequestError where they are too few."""
        if not self._rows:
            return rows
        numbers = rows.numbers.tolist()
        judge([self._rows[number] for number in numbers if number in self._rows], len(rows))
        return rows.only([place for place, number in enumerate(numbers) if number not in self._rows])

    def event(self, path: Path | None = None) -> RowsSetAside | None:
        """What there is to say; None where all rows are good. `path`: where they are kept."""
        if not self.found:
            return None
        first = [f"{bad.where} ({bad.what})" for bad in self.found[:SHOWN]]
        return RowsSetAside(rows=len(self.found), of=self.seen, first=first, path=str(path) if path else None)

    def publish(self, folder: Path) -> Path | None:
        """Writes them into the run folder, each with its place, what is wrong, and the beginning of its text. Returns
        the file; None where all rows are good, and then there is none."""
        file = folder / FILE
        if not self.found:
            file.unlink(missing_ok=True)
            return None
        publish_text(file, "".join(f"{json.dumps(scrubbed_values(_record(bad)))}\n" for bad in self.found))
        return file


def together(bad: Sequence[BadRow]) -> RequestError:
    """What is raised where they end the run: the first one, and under it the others, so that all are mended at once."""
    first, *others = bad
    if not others:
        return first.error()
    also = [f"{each.where}: {_cut(each.what, _ALSO_KEPT)}" for each in others]
    more = " or more" if len(bad) == SHOWN else ""
    lines = [*([first.remedy] if first.remedy else []), *also, f"{len(bad)} rows{more} cannot be read; {_SET_ASIDE}"]
    return RequestError(first.what, where=first.where, remedy="\n  ".join(lines))


def judge(bad: Sequence[BadRow], of: int) -> None:
    """Raises RequestError where more than MOST of so many rows are bad."""
    if len(bad) > MOST * of:
        raise RequestError(
            f"{len(bad):,} of {of:,} rows are bad, too many to set aside; the first one: {bad[0].what}",
            where=bad[0].where,
            remedy=bad[0].remedy,
        )


def _key(row: Row) -> int:
    return row.number if row.number >= 0 else id(row)


def _record(bad: BadRow) -> dict[str, str | int | None]:
    name, _, line = bad.where.rpartition(":")
    file, number = (name, int(line)) if line.isdecimal() else (bad.where, None)
    return {"file": file, "line": number, "why": bad.what, "remedy": bad.remedy, "text": bad.text}


def as_text(row: Row) -> str:
    """Its columns, secrets taken out, the beginning of a long one."""
    return _cut(json.dumps(scrubbed_values(dict(row.columns)), ensure_ascii=False, default=str), TEXT_KEPT)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
