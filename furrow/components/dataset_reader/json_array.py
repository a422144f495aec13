"""A JSON array of objects, read element by element: memory holds one element, not the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from furrow.components.config import Config
from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.dataset_reader.lines import open_text
from furrow.components.dataset_reader.strict_json import MALFORMED, Refused, TooMuch, decode_at, end_of
from furrow.components.dataset_reader.window import Window
from furrow.components.errors import RequestError
from furrow.components.messages import json_kind
from furrow.components.records import Row
from furrow.components.registry import Component

_NEAR_END = 16
"""Characters: a value that what was read cuts off is malformed at most this far before the cut (`-Infinity` has 9)."""
_BEGINNINGS = tuple('{["-0123456789tfnNI')
"""How a JSON value may begin, NaN and Infinity among them."""


class JsonArrayConfig(Config):
    """A JSON array takes no settings."""


class JsonArray:
    """Reads `[{…}, {…}]`."""

    def __init__(self, config: JsonArrayConfig) -> None:
        del config

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every element, `where` = file:line where it begins; one that is well-formed and no row is a BadRow.

        Raises RequestError for what is no array, and for malformed JSON: nobody knows where the next element begins.
        """
        with open_text(path) as file:
            text = Window(file, path)
            _open_array(text)
            while True:
                where = text.where()
                yield _element(text, where)
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


def _element(text: Window, where: str) -> Row | BadRow:
    if text.next_character() not in _BEGINNINGS:
        raise RequestError(f"an object is wanted, not {text.next_character() or 'the end'!r}", where=where)
    while True:
        try:
            value, end = decode_at(text.text, text.position)
            wrong = None if isinstance(value, dict) else f"an object is wanted, not {json_kind(value)}"
        except TooMuch as error:
            raise RequestError(str(error), where=where) from error
        except MALFORMED as error:
            if not _read_on(text, error):
                raise _malformed(text, error) from error
            continue
        except Refused as error:
            wrong = str(error)
            try:
                end = end_of(text.text, text.position)
            except MALFORMED as cut_off:
                if not _read_on(text, cut_off):
                    raise RequestError(wrong, where=where) from error
                continue
        if end == len(text.text) and not text.ended:  # a number may go on
            text.read_on()
            continue
        begins = text.text[text.position : min(end, text.position + TEXT_KEPT)]
        text.advance_to(end)
        return Row(value, where) if wrong is None else BadRow(wrong, where, text=begins)


def _malformed(text: Window, error: MALFORMED) -> RequestError:
    text.advance_to(error.pos)
    return RequestError(f"invalid JSON at column {text.column}: {error.msg}", where=text.where())


def _read_on(text: Window, error: MALFORMED) -> bool:
    """Reads more where the element was cut off by the end of what was read."""
    cut_off = error.pos >= len(text.text) - _NEAR_END or error.msg.startswith("Unterminated string")
    if cut_off and not text.ended:
        text.read_on()
        return True
    return False


COMPONENT = Component(
    summary="a JSON array of objects (.json)",
    config=JsonArrayConfig,
    factory="furrow.components.dataset_reader.json_array:JsonArray",
)
