"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from furrow.components.config import Config
from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.dataset_reader.lines import numbered_lines
from furrow.components.dataset_reader.strict_json import MALFORMED, Refused, decode_at
from furrow.components.errors import RequestError
from furrow.components.messages import json_kind
from furrow.components.records import Row
from furrow.components.registry import Component

_LOOKS_LIKE = (
    ("{\n", "one object a line is wanted; an object over several lines is what a JSON array (.json) may hold"),
    ("\ufeff", "a byte-order mark stands within the file: two files were joined"),
    ("{'", "JSON has double quotes; Python's json.dumps writes them, str() does not"),
    ("//", "JSON has no comments"),
    ("#", "JSON has no comments"),
)
"""How a line begins that is no JSON -> what to do."""
_CUT_OFF = "the file ends within this row: was it written, or copied, to its end?"


class JsonLinesConfig(Config):
    """JSON lines take no settings."""


class JsonLines:
    """Reads one line at a time; blank lines are passed over."""

    def __init__(self, config: JsonLinesConfig) -> None:
        del config

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every row, `where` = file:line; a line that is not one object is a BadRow, and one that is not UTF-8: where
        the next one begins is known all the same."""
        empty = True
        for number, line in numbered_lines(path):
            if isinstance(line, BadRow):
                yield line
            elif line.isspace():
                continue
            else:
                yield _row(line, f"{path}:{number}", is_first=empty)
            empty = False
        if empty:
            raise RequestError("the file holds no rows", where=str(path))


def _row(line: str, where: str, *, is_first: bool) -> Row | BadRow:
    start = len(line) - len(line.lstrip(" \t"))
    try:
        value, end = decode_at(line, start)
        if rest := line[end:].strip():
            raise MALFORMED(f"more text after the object ({rest[:20]!r})", line, end)
    except MALFORMED as error:
        open_text = line[error.pos :] == "\n" and error.msg.startswith("Invalid control character")
        wrong = "a text is not closed before the line ends" if open_text else error.msg
        what = f"invalid JSON at column {error.pos + 1}: {wrong}"
        return BadRow(what, where, _remedy(line[start:], is_first), line[:TEXT_KEPT])
    except Refused as error:
        return BadRow(str(error), where, text=line[:TEXT_KEPT])
    if not isinstance(value, dict):
        what = f"the line is {json_kind(value)}, an object is wanted"
        return BadRow(what, where, _remedy(line[start:], is_first), line[:TEXT_KEPT])
    return Row(value, where)


def _remedy(line: str, is_first: bool) -> str | None:
    """What to do about a line that is no object. `is_first`: only that line tells what the whole file is."""
    if is_first and line.startswith("["):
        return "the file looks like a JSON array: name it .json"
    known = next((remedy for beginning, remedy in _LOOKS_LIKE if line.startswith(beginning)), None)
    return known or (None if line.endswith("\n") else _CUT_OFF)


COMPONENT = Component(
    summary="JSON lines: one object a line (.jsonl)",
    config=JsonLinesConfig,
    factory="furrow.components.dataset_reader.jsonl:JsonLines",
)
