"""A JSON array of objects, read element by element: memory holds one element, not the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from furrow.components.config import Config
from furrow.components.dataset_reader.lines import open_text
from furrow.components.dataset_reader.strict_json import MALFORMED, Refused, decode_at
from furrow.components.dataset_reader.window import Window
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.components.registry import Component

_NEAR_END = 16
"""Characters: a value that what was read cuts off is malformed at most this far before the cut (`-Infinity` has 9)."""


class JsonArrayConfig(Config):
    """A JSON array takes no settings."""


class JsonArray:
    """Reads `[{…}, {…}]`."""

    def __init__(self, config: JsonArrayConfig) -> None:
        del config

    def read(self, path: Path) -> Iterator[Row]:
        """Every element, `where` = file:line where it begins. Raises RequestError for what is no array of objects."""
        with open_text(path) as file:
            text = Window(file, path)
            _open_array(text)
            while True:
                where = text.where()
                yield Row(_element(text), where)
                following = text.next_character()
                text.advance_to(text.position + 1)
                if following == "]":
                    break
                if following != ",":
                    raise RequestError(f"a comma or ] is wanted, not {following or 'the end'!r}", where=text.where())
                text.next_character()
            if text.next_character():
                raise RequestError("there is more text after the array", where=text.where())


def _open_array(text: Window) -> None:
    first = text.next_character()
    if first != "[":
        raise RequestError(
            f"the file begins with {first!r}, an array of objects is wanted" if first else "the file holds no rows",
            where=text.where(),
            remedy="if every line is an object of its own, name the file .jsonl" if first == "{" else None,
        )
    text.advance_to(text.position + 1)
    if text.next_character() == "]":
        raise RequestError("the array is empty: the file holds no rows", where=text.where())


def _element(text: Window) -> Any:
    if text.next_character() != "{":
        raise RequestError(f"an object is wanted, not {text.next_character() or 'the end'!r}", where=text.where())
    while True:
        try:
            value, end = decode_at(text.text, text.position)
        except MALFORMED as error:
            cut_off = error.pos >= len(text.text) - _NEAR_END or error.msg.startswith("Unterminated string")
            if cut_off and not text.ended:
                text.read_on()
                continue
            text.advance_to(error.pos)
            raise RequestError(f"invalid JSON at column {text.column}: {error.msg}", where=text.where()) from error
        except Refused as error:
            raise RequestError(str(error), where=text.where()) from error
        text.advance_to(end)
        return value


COMPONENT = Component(
    summary="a JSON array of objects (.json)",
    config=JsonArrayConfig,
    factory="furrow.components.dataset_reader.json_array:JsonArray",
)
