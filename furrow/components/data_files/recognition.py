"""What a file holds, by its beginning, whatever its name says."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from furrow.components.data_files.opening import PARQUET, open_bytes, read
from furrow.components.data_files.unpacking import PACKED

LOOKED_AT = 64 << 10
"""Bytes of the text. A first line that is longer tells enough."""
DELIMITERS = (",", ";", "\t", "|")
_ROWS_LOOKED_AT = 20

Content = Literal["parquet", "json", "jsonl", "object", "text"]
"""`json`: an array of objects; `jsonl`: an object on each line; `object`: one object; `text`: anything else."""


@dataclass(frozen=True)
class Held:
    """What a file holds. `packed`: by what, None where it is not. `text`: its beginning."""

    content: Content
    packed: str | None
    text: str
    is_whole: bool
    """Whether `text` is all of it."""

    @property
    def is_no_json(self) -> bool:
        """Whether no line begins as one of JSON does: what the commas in such divide are no columns."""
        return not any(line.lstrip().startswith(("{", "[", "]", "}")) for line in self.text.splitlines())

    @property
    def is_readable(self) -> bool:
        """Whether it is text that a person reads."""
        return bool(self.text.strip()) and "\ufffd" not in self.text and "\0" not in self.text

    def delimiter(self, usual: str) -> str | None:
        """Of a table, by its header and the first rows: `usual` where it gives two columns and rows that fit, else the
        one that does; None where none does, or several."""
        fitting = [mark for mark in DELIMITERS if self._fits(mark)]
        if usual in fitting:
            return usual
        return fitting[0] if len(fitting) == 1 else None

    def _fits(self, delimiter: str) -> bool:
        try:
            rows = [row for row in csv.reader(io.StringIO(self.text, newline=""), delimiter=delimiter) if any(row)]
        except csv.Error:
            return False
        rows = rows[: _ROWS_LOOKED_AT if self.is_whole else max(1, min(_ROWS_LOOKED_AT, len(rows) - 1))]
        return len(rows) > 1 and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)


def held_by(path: Path) -> Held:
    """Looks at the beginning of the file. Raises RequestError for what is no file, or a damaged archive."""
    with open_bytes(path) as file:
        start = read(file, LOOKED_AT, path)
        packed = _packed(path)
        text = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", errors="replace")
        content: Content = "parquet" if start.startswith(PARQUET) else _content(text, len(start) < LOOKED_AT)
        return Held(content, packed, text, len(start) < LOOKED_AT)


def _packed(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(max(map(len, PACKED)))
    return next((kind for magic, kind in PACKED.items() if start.startswith(magic)), None)


def _content(text: str, is_whole: bool) -> Content:
    begun = text.lstrip(" \t\r\n")
    line, newline, rest = begun.partition("\n")
    if begun.startswith("["):
        follows = begun[1:].lstrip(" \t\r\n")[:1]
        is_line_of_its_own = bool(newline and rest.strip()) and isinstance(_parsed(line), list)
        return "json" if follows in ("{", "]", "") and not is_line_of_its_own else "text"
    if not begun.startswith("{"):
        return "text"
    is_cut_off = not is_whole and begun[1:].lstrip().startswith('"')
    if not newline and is_cut_off:  # an object longer than what was looked at
        return "jsonl"
    if not isinstance(_parsed(line), dict):
        return "object" if is_cut_off or isinstance(_parsed(begun), dict) else "text"
    return "jsonl" if rest.lstrip().startswith("{") else "object"


def _parsed(text: str) -> object:
    """None for what is no JSON."""
    try:
        return json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return None
