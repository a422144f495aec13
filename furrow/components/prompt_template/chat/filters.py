"""Jinja's filters, metered: those that make much of little pay before, the others by what they give."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from types import GeneratorType
from typing import Any

from jinja2.exceptions import SecurityError

from furrow.components.prompt_template.chat.budget import Budget
from furrow.components.prompt_template.chat.methods import replaced
from furrow.components.prompt_template.chat.operations import formatted

LEFT_OUT = ("pprint", "random", "striptags", "urlize", "wordwrap", "xmlattr")
"""For web pages, or another text at each call; some of them take a time that grows with the square of the text."""

_AS_TEXT = frozenset(
    (
        "abs", "capitalize", "center", "count", "d", "default", "e", "escape", "float", "forceescape", "format",
        "indent", "int", "length", "lower", "replace", "round", "safe", "string", "tojson", "trim", "truncate", "upper",
    )
)  # fmt: skip
"""They take a text as a text; the others make a list of its characters or words."""
_OUTER = frozenset(
    (
        "attr", "batch", "count", "d", "default", "first", "items", "last", "length", "list", "map", "reject",
        "rejectattr", "reverse", "select", "selectattr", "slice",
    )
)  # fmt: skip
"""They do not look into what is in a list; the others write or compare all of it, however deep."""
_LESS = frozenset(("attr", "count", "d", "default", "first", "last", "length", "max", "min", "trim"))
"""They give what is there already, or less."""
_CHEAP_TESTS = frozenset(
    (
        "boolean", "callable", "defined", "divisibleby", "even", "false", "filter", "float", "integer", "iterable",
        "mapping", "none", "number", "odd", "sameas", "sequence", "string", "test", "true", "undefined",
    )
)  # fmt: skip


def metered(name: str, filter_: Callable[..., Any], budget: Budget) -> Callable[..., Any]:
    """The filter, paid out of the budget."""
    at = 1 if hasattr(filter_, "jinja_pass_arg") else 0
    before, as_text, outer = _BEFORE.get(name), name in _AS_TEXT, name in _OUTER
    gives_less = name in _LESS

    @functools.wraps(filter_)
    def pays(*args: Any, **kwargs: Any) -> Any:
        value = args[at]
        if isinstance(value, str):
            budget.spend(1 + (len(value) >> 4 if as_text else len(value)))
        elif outer:
            budget.sized(value)
        else:
            value = budget.charged(list(budget.counted(value)) if isinstance(value, Iterator) else value)
            args = (*args[:at], value, *args[at + 1 :])
        if before is not None:
            before(budget, *args[at:], **kwargs)
        result = filter_(*args, **kwargs)
        if gives_less:
            return result
        return budget.counted(result) if isinstance(result, GeneratorType) else budget.charged(result)

    return pays


def metered_test(name: str, test: Callable[..., Any], budget: Budget) -> Callable[..., Any]:
    """The test, paid out of the budget where it writes or compares what it is given."""
    if name in _CHEAP_TESTS:
        return test

    @functools.wraps(test)
    def pays(*args: Any) -> Any:
        for value in args:
            budget.charged(value)
        return test(*args)

    return pays


def to_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """As transformers writes it: Jinja's own escapes what HTML takes for its own."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _center(budget: Budget, value: Any, width: Any = 80) -> None:
    budget.spend(_number(width) >> 4)


def _indent(budget: Budget, value: Any, width: Any = 4, *_: Any, **__: Any) -> None:
    lines = 2 + len(value.splitlines()) if isinstance(value, str) else 2
    budget.spend(lines * (len(width) if isinstance(width, str) else _number(width)) >> 4)


def _replace(budget: Budget, value: Any, old: Any, new: Any, *_: Any, **__: Any) -> None:
    budget.spend(replaced(*(_text(budget, each) for each in (value, old, new))) >> 4)


def _join(budget: Budget, value: Any, d: Any = "", *_: Any, **__: Any) -> None:
    budget.spend(len(value) * len(_text(budget, d)) >> 4)


def _batch(budget: Budget, value: Any, linecount: Any, *_: Any, **__: Any) -> None:
    budget.spend(_number(linecount))


def _slice(budget: Budget, value: Any, slices: Any, *_: Any, **__: Any) -> None:
    budget.spend(_number(slices))


def _round(budget: Budget, value: Any, precision: Any = 0, *_: Any, **__: Any) -> None:
    if abs(precision) > 300:
        raise SecurityError("it rounds to more than 300 digits")


def _tojson(budget: Budget, value: Any, ensure_ascii: Any = False, indent: Any = None, *_: Any, **__: Any) -> None:
    if (len(indent) if isinstance(indent, str) else _number(indent)) > 16:
        raise SecurityError("it indents by more than 16 characters")


def _format(budget: Budget, value: Any, *args: Any, **kwargs: Any) -> None:
    formatted(_text(budget, value), [*args, kwargs], budget, braces=False)


_BEFORE: dict[str, Callable[..., None]] = {
    "batch": _batch, "center": _center, "format": _format, "indent": _indent, "join": _join, "replace": _replace,
    "round": _round, "slice": _slice, "tojson": _tojson,
}  # fmt: skip


def _number(value: Any) -> int:
    return max(int(value), 0) if isinstance(value, int | float) else 0


def _text(budget: Budget, value: Any) -> str:
    return value if isinstance(value, str) else str(budget.charged(value))
