"""JSON as the standard has it: no duplicate keys, no NaN, no lone surrogates. Python's reader lets all three pass."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from furrow.components.errors import shortened

MALFORMED = json.JSONDecodeError

DEEPEST = 100
"""Lists and objects within one another; tool schemas, the deepest that rows hold, have about 15."""
MOST_VALUES = 1_000_000
"""Of one row. A list in Python takes up to 80 times the three bytes it has in the file, so that LONGEST alone would
allow 2 GB."""
_LONG = 4 << 20
"""Characters: what is shorter is not counted, it has 350 MB of values at the worst."""

_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\Z)|[\[\]{},]', re.DOTALL)
"""A whole text, or a sign that stands between values."""


class Refused(ValueError):
    """The JSON is well-formed but holds something that a row may not; the message says what."""


class TooMuch(Refused):
    """Where the value ends is not looked for either: that would take the time and the memory that it is refused for."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise Refused(f"the key {shortened(twice)!r} is there twice in one object")
    return found


def _constant(name: str) -> NoReturn:
    raise Refused(f"{name} is no JSON number")


def _float(digits: str) -> float:
    value = float(digits)
    if abs(value) == float("inf"):
        raise Refused(f"the number {shortened(digits)} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 4000:  # CPython refuses to convert more than 4,300 digits
        raise Refused(f"a number of {len(digits)} digits is too large")
    return int(digits)


DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int, strict=True
)
_LENIENT = json.JSONDecoder(parse_constant=str, parse_float=str, parse_int=str)


def decode_at(text: str, position: int) -> tuple[Any, int]:
    """The value that begins at `position`, and where it ends.

    Raises json.JSONDecodeError for what is malformed (or cut off), Refused for what is well-formed but not allowed.
    """
    if len(text) - position > _LONG:
        _refuse_many_values(text, position)
    try:
        value, end = DECODER.raw_decode(text, position)
    except RecursionError as error:
        raise TooMuch("the JSON is nested too deep") from error
    if text.count("[", position, end) + text.count("{", position, end) > DEEPEST:
        _verify_depth(value)
    if text.find("\\u", position, end) >= 0:  # only an escape can bring these characters in
        _verify_text(value)
    return value, end


def end_of(text: str, position: int) -> int:
    """Where a refused value ends. Raises json.JSONDecodeError for what is malformed, or cut off."""
    return _LENIENT.raw_decode(text, position)[1]


def _refuse_many_values(text: str, position: int) -> None:
    """Looks at the signs between values as far as the first value goes."""
    depth = signs = 0
    for token in _TOKEN.finditer(text, position):
        sign = token.group()[:1]
        if sign == '"':
            continue
        signs += 1
        if signs > MOST_VALUES:
            raise TooMuch(f"there are more than {MOST_VALUES:,} values in one row")
        depth += 1 if sign in "[{" else -1 if sign in "]}" else 0
        if depth <= 0:
            return


def _verify_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise Refused(f"the JSON is nested too deep: more than {DEEPEST} lists and objects within one another")


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
