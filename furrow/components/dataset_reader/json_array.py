"""A JSON array of objects, read element by element: memory holds one element, not the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from furrow.components.config import Config
from furrow.components.data_files.opening import open_text
from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.dataset_reader.strict_json import MALFORMED, Refused, TooMuch, decode_at, end_of
from furrow.components.dataset_reader.window import Window
from furrow.components.errors import RequestError, did_you_mean
from furrow.components.messages import json_kind
from furrow.components.records import Row
from furrow.components.registry import Component

_NEAR_END = 16
"""Characters: a value that what was read cuts off is malformed at most this far before the cut (`-Infinity` has 9)."""
_BEGINNINGS = tuple('{["-0123456789tfnNI')
"""How a JSON value may begin, NaN and Infinity among them."""
_OBJECT = (
    "one object a line is what a .jsonl file has; where the rows are a list within one object, name its key: "
    "`dataset.reader: {type: json, field: data}`"
)


class JsonArrayConfig(Config):
    """Where the array stands."""

    field: Annotated[str, Field(min_length=1)] | None = None
    """Key of the array where the file is one object that holds it, e.g. `data` of {"version": 1, "data": [{…}, …]}.
    Default: the file is the array."""


class JsonArray:
    """Reads `[{…}, {…}]`, or the one list of an object that `field` names."""

    def __init__(self, config: JsonArrayConfig) -> None:
        self._field = config.field

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        """Every element, `where` = file:line where it begins; one that is well-formed and no row is a BadRow. Of an
        object only the list that is asked for becomes rows; the rest must be well-formed.

        Raises RequestError for what is no array, and for malformed JSON: nobody knows where the next element begins.
        """
        with open_text(path) as file:
            text = Window(file, path)
            if self._field is not None:
                _enter(text, self._field)
            _open_array(text, is_field=self._field is not None)
            while True:
                where = text.where()
                yield _element(text, where)
                if _comma_or(text, "]"):
                    break
            if self._field is not None:
                while not _comma_or(text, "}"):
                    _key(text)
                    _element(text, text.where())
            if text.next_character():
                raise RequestError("there is more text after the array", where=text.where())


def _enter(text: Window, field: str) -> None:
    """Goes on to the value of that key of the one object that the file is."""
    if text.next_character() != "{":
        raise RequestError(
            "the file is no object, and a field of one is asked for",
            where=text.where(),
            remedy="leave `field` of dataset.reader out",
        )
    text.advance_to(text.position + 1)
    there = []
    while (name := _key(text)) != field:
        there.append(name)
        _element(text, text.where())
        if _comma_or(text, "}"):
            raise RequestError(
                f"there is no key {field!r} in the object", where=text.where(), remedy=did_you_mean(field, there[:100])
            )


def _key(text: Window) -> str:
    """A key of an object, and the colon behind it."""
    where = text.where()
    name = _value(text, where)[0] if text.next_character() == '"' else None
    if not isinstance(name, str) or text.next_character() != ":":
        raise RequestError("a key and a colon are wanted", where=where)
    text.advance_to(text.position + 1)
    text.next_character()
    return name


def _comma_or(text: Window, end: str) -> bool:
    """Passes the sign behind a value; whether it was the end."""
    following = text.next_character()
    if following not in (",", end) or not following:
        raise RequestError(f"a comma or {end} is wanted, not {following or 'the end'!r}", where=text.where())
    text.advance_to(text.position + 1)
    if following == ",":
        text.next_character()
    return following == end


def _open_array(text: Window, *, is_field: bool) -> None:
    first = text.next_character()
    if first != "[":
        what = "the field" if is_field else "the file"
        raise RequestError(
            f"{what} begins with {first!r}, an array of objects is wanted" if first else "the file holds no rows",
            where=text.where(),
            remedy=_OBJECT if first == "{" else None,
        )
    text.advance_to(text.position + 1)
    if text.next_character() == "]":
        raise RequestError("the array is empty: the file holds no rows", where=text.where())


def _element(text: Window, where: str) -> Row | BadRow:
    value, wrong, begins = _value(text, where)
    if wrong is None and not isinstance(value, dict):
        wrong = f"an object is wanted, not {json_kind(value)}"
    return Row(value, where) if wrong is None else BadRow(wrong, where, text=begins)


def _value(text: Window, where: str) -> tuple[Any, str | None, str]:
    """(the value that begins here, or None; what is wrong with it; its beginning). It is passed."""
    if text.next_character() not in _BEGINNINGS:
        raise RequestError(f"an object is wanted, not {text.next_character() or 'the end'!r}", where=where)
    while True:
        value, wrong = None, None
        try:
            value, end = decode_at(text.text, text.position)
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
        return value, wrong, begins


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
