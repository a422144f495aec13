"""Operators whose result is far larger than what they are given: `*`, `**`, and `%` with a format."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import Formatter
from typing import Any

from jinja2.exceptions import SecurityError

from furrow.components.prompt_template.chat.budget import MAX_BITS, Budget

_FIELD = re.compile(r"%(?:\((?P<name>[^()]*)(?P<nested>\()?)?\)?[-+ #0]*(?P<width>\*|\d*)(?:\.(?P<precision>\*|\d*))?")
"""`%(name)-8.3f`; in a name with parentheses in it a width could hide."""
_STEPS_A_FIELD = 64
"""A field of 999 characters."""


def product(left: Any, right: Any, budget: Budget) -> Any:
    """`left * right`, where its size is within the budget."""
    for times, value in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(value, str):
            budget.spend(max(times, 0) * len(value) >> 4)
        elif isinstance(times, int) and isinstance(value, list | tuple):
            budget.spend(max(times, 0) * (1 + _weight(value, budget)))
    if isinstance(left, int) and isinstance(right, int):
        _bounded(left.bit_length() + right.bit_length())
    return left * right


def power(left: Any, right: Any, budget: Budget) -> Any:
    """`left ** right`, where it is no number of more than 4096 bits."""
    if isinstance(left, int) and isinstance(right, int):
        _bounded(left.bit_length() * abs(right))
    return left**right


def formatted(text: str, values: Any, budget: Budget, *, braces: bool) -> None:
    """Pays for `text % values` or, with `braces`, `text.format(values)`: a field may be as long as all the values."""
    budget.spend(len(text) >> 4)
    if braces:
        fields: list[Any] = [spec or "" for _, name, spec, _ in Formatter().parse(text) if name is not None]
        wide = any("{" in spec or re.search(r"\d{4}", spec) for spec in fields)
    else:
        fields = list(_FIELD.finditer(text))
        wide = any(field["nested"] or _is_wide(field["width"]) or _is_wide(field["precision"]) for field in fields)
    if wide:
        raise SecurityError("a format that asks for a width of 1,000 characters or more")
    budget.spend(len(fields) * (_STEPS_A_FIELD + _weight(values, budget)))


def _is_wide(number: str | None) -> bool:
    return number is not None and (number == "*" or len(number) > 3)


def _weight(value: Any, budget: Budget) -> int:
    before = budget.left
    budget.charged(list(value) if isinstance(value, Iterable) and not isinstance(value, str | dict) else value)
    return before - budget.left


def _bounded(bits: int) -> None:
    if bits > MAX_BITS:
        raise SecurityError(f"it makes a number of {bits} bits")
