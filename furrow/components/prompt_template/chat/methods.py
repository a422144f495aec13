"""Which methods of texts, lists and numbers a template may call, and what the ones cost that make more of little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jinja2.exceptions import SecurityError

from furrow.components.prompt_template.chat.budget import Budget

OWNERS = (str, bytes, bytearray, int, float, complex, list, tuple, dict, set, frozenset, range)

_OF_TEXTS = frozenset(
    (
        "capitalize", "casefold", "center", "count", "endswith", "expandtabs", "find", "index", "isalnum", "isalpha",
        "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle",
        "isupper", "join", "ljust", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "replace", "rfind",
        "rindex", "rjust", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase",
        "title", "upper", "zfill",
    )
)  # fmt: skip
_ALLOWED: tuple[tuple[type | tuple[type, ...], frozenset[str]], ...] = (
    (str, _OF_TEXTS),
    (dict, frozenset(("copy", "get", "items", "keys", "values"))),
    ((list, tuple, range), frozenset(("copy", "count", "index"))),
    (float, frozenset(("is_integer",))),
)
_SHORTER = frozenset(
    (
        "count", "endswith", "find", "index", "lstrip", "removeprefix", "removesuffix", "rfind", "rindex", "rstrip",
        "startswith", "strip",
    )
)  # fmt: skip
"""What they give is no longer than the text."""
_INNER = frozenset(("get", "items", "keys", "values"))
"""They give what is there already."""


def call(budget: Budget, method: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls the method, paid beforehand. Raises SecurityError for one that is not listed, or not within the budget."""
    kwargs.pop("_loop_vars", None)  # what Jinja hands to macros only
    kwargs.pop("_block_vars", None)
    owner, name = method.__self__, method.__name__  # type: ignore[attr-defined]
    if type(owner) is str and name in _SHORTER:
        budget.spend(1 + (len(owner) >> 4))
        return method(*args, **kwargs)
    if not any(isinstance(owner, kinds) and name in names for kinds, names in _ALLOWED):
        raise SecurityError(f"the method {name} of {type(owner).__name__} is not for chat templates")
    if name in _INNER:
        return method(*args, **kwargs)
    if isinstance(owner, str):
        if kwargs and name not in ("expandtabs", "rsplit", "split", "splitlines"):
            raise SecurityError(f"the method {name} takes no keywords")
        if name == "join" and args:
            args = (budget.charged(list(budget.counted(args[0]))),)
        budget.spend(1 + (_characters(owner, name, args, kwargs) >> 4))
    else:
        budget.charged(owner)  # `index` and `count` compare
    return budget.charged(method(*args, **kwargs))


def _characters(owner: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """What the method may make of the text, at most."""
    if name in ("center", "ljust", "rjust", "zfill") and args and isinstance(args[0], int):
        return len(owner) + max(args[0], 0)
    if name == "expandtabs":
        width = next((each for each in (*args, *kwargs.values()) if isinstance(each, int)), 8)
        return len(owner) + owner.count("\t") * max(width, 0)
    if name == "replace":
        return replaced(owner, *args[:2])
    if name == "join" and args and isinstance(args[0], list):
        return len(owner) * len(args[0])
    if name in ("split", "rsplit", "splitlines"):
        return 16 * pieces(owner, args[0] if args else kwargs.get("sep"))
    return len(owner)


def replaced(text: str, old: Any = None, new: Any = None, *_: Any) -> int:
    """Characters of `text.replace(old, new)`."""
    if not isinstance(old, str) or not isinstance(new, str):
        return len(text)
    return len(text) + text.count(old) * len(new)


def pieces(text: str, separator: Any) -> int:
    """How many texts `split` makes, at most: each is an object of 50 bytes."""
    if isinstance(separator, str) and separator:
        return 1 + text.count(separator)
    return 1 + sum(map(text.count, " \n\t\r\v\f\x1c\x1d\x1e\x85\xa0\u2028\u2029")) if text.isascii() else len(text)
