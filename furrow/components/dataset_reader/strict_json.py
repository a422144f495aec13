"""JSON as the standard has it: no duplicate keys, no NaN, no lone surrogates. Python's reader lets all three pass."""

from __future__ import annotations

import json
from typing import Any, NoReturn

MALFORMED = json.JSONDecodeError


class Refused(ValueError):
    """The JSON is well-formed but holds something that a row may not; the message says what."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(f"the key {twice!r} is there twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise Refused(f"{name} is no JSON number")


def _float(digits: str) -> float:
    value = float(digits)
    if abs(value) == float("inf"):
        raise Refused(f"the number {digits} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 4000:  # CPython refuses to convert more than 4,300 digits
        raise Refused(f"a number of {len(digits)} digits is too large")
    return int(digits)


DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int, strict=True
)


def decode_at(text: str, position: int) -> tuple[Any, int]:
    """The value that begins at `position`, and where it ends.

    Raises json.JSONDecodeError for what is malformed (or cut off), Refused for what is well-formed but not allowed.
    """
    try:
        value, end = DECODER.raw_decode(text, position)
    except RecursionError as error:
        raise Refused("the JSON is nested too deep") from error
    if text.find("\\u", position, end) >= 0:  # only an escape can bring these characters in
        _verify_text(value)
    return value, end


def _verify_text(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise Refused("there is an escaped NUL (\\u0000) in a text")
        lone = next((letter for letter in value if "\ud800" <= letter <= "\udfff"), None)
        if lone:
            raise Refused(f"there is half a character (lone surrogate \\u{ord(lone):04x}) in a text")
    elif isinstance(value, dict):
        for name, inner in value.items():
            _verify_text(name)
            _verify_text(inner)
    elif isinstance(value, list):
        for inner in value:
            _verify_text(inner)
