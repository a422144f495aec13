"""Values as JSON has them, of whatever a table in memory holds: as numbers or text where that says the same."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Mapping
from typing import Any

from furrow.components.dataset_reader.strict_json import DEEPEST, Refused

_DATES = (datetime.date, datetime.time)  # a datetime is a date
NUL = "has a NUL in it"


def as_json(value: Any, depth: int = DEEPEST) -> Any:
    """The value, with dates and decimals as text, bytes as the UTF-8 that they are, and arrays as lists.

    Raises Refused for what JSON does not have: NaN, infinity, bytes of no text, keys that are no text, objects.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if "\0" in value:
            raise Refused(NUL)
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("is NaN" if math.isnan(value) else "is infinite")
        return value
    if depth == 0:
        raise Refused("is nested too deep")
    if isinstance(value, Mapping):
        if strange := next((name for name in value if not isinstance(name, str)), None):
            raise Refused(f"has the key {strange!r}, text is wanted")
        return {name: as_json(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner, depth - 1) for inner in value]
    if isinstance(value, _DATES):
        return value.isoformat()
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return str(value)
    if isinstance(value, bytes | bytearray):
        return _as_text(bytes(value))
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        return as_json(value.tolist(), depth - 1)
    raise Refused(f"is {type(value).__name__}, which JSON does not have")


def _as_text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(f"is {len(data):,} bytes that are no UTF-8 text") from error
    if "\0" in text:
        raise Refused(NUL)
    return text
