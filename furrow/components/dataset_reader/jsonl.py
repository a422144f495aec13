"""JSON lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from furrow.components.config import Config
from furrow.components.dataset_reader.lines import numbered_lines
from furrow.components.dataset_reader.strict_json import MALFORMED, Refused, decode_at
from furrow.components.errors import RequestError
from furrow.components.messages import json_kind
from furrow.components.records import Row
from furrow.components.registry import Component


class JsonLinesConfig(Config):
    """JSON lines take no settings."""


class JsonLines:
    """Reads one line at a time; blank lines are passed over."""

    def __init__(self, config: JsonLinesConfig) -> None:
        del config

    def read(self, path: Path) -> Iterator[Row]:
        """Every row, `where` = file:line. Raises RequestError for the first line that is not one object."""
        empty = True
        for number, line in numbered_lines(path):
            if not line.isspace():
                remedy = "the file looks like a JSON array: name it .json" if empty and line.startswith("[") else None
                yield _row(line, f"{path}:{number}", remedy)
                empty = False
        if empty:
            raise RequestError("the file holds no rows", where=str(path))


def _row(line: str, where: str, remedy: str | None) -> Row:
    start = len(line) - len(line.lstrip(" \t"))
    try:
        value, end = decode_at(line, start)
        if rest := line[end:].strip():
            raise MALFORMED(f"more text after the object ({rest[:20]!r})", line, end)
    except MALFORMED as error:
        raise RequestError(
            f"invalid JSON at column {error.pos + 1}: {error.msg}", where=where, remedy=remedy
        ) from error
    except Refused as error:
        raise RequestError(str(error), where=where) from error
    if not isinstance(value, dict):
        raise RequestError(f"the line is {json_kind(value)}, an object is wanted", where=where, remedy=remedy)
    return Row(value, where)


COMPONENT = Component(
    summary="JSON lines: one object a line (.jsonl)",
    config=JsonLinesConfig,
    factory="furrow.components.dataset_reader.jsonl:JsonLines",
)
