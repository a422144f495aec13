"""Regular expressions on the names of layers: whether one comes to an end. They come from strategies and from adapters
of others, and Python's `re` has no bound of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_parser: Any = re._parser  # type: ignore[attr-defined]
_LONGEST = 10_000
"""Characters of a pattern; one that lists 40 names has 600."""
_NAME = 100
"""Characters of a long name."""
_MOST = 4 * _NAME**4
"""Steps at one name, counted as if everything matched everywhere. Patterns of real adapters have four `.*?` one after
the other, which take a tenth of a second at most; five take two, and a model has a thousand names."""
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_ONE = ("LITERAL", "NOT_LITERAL", "ANY", "IN", "RANGE", "CATEGORY", "AT", "FAILURE")


def takes_for_ever(*patterns: str) -> bool:
    """Whether matching them, one after the other, may take steps without measure: repetitions within repetitions,
    references back, and too many repetitions or ambiguous alternatives in a row. Also for no regular expression."""
    try:
        return any(len(each) > _LONGEST for each in patterns) or sum(map(_steps, map(_parser.parse, patterns))) > _MOST
    except (re.error, RecursionError, OverflowError):
        return True


def _steps(parts: Iterable[Any]) -> float:
    """How many ways there are, at most, to match these parts one after the other within a name."""
    found = 1.0
    for kind, given in parts:
        found *= _steps_of(str(kind), given)
    return found


def _steps_of(kind: str, given: Any) -> float:
    if kind in _ONE:
        return 1
    if kind in _REPEATS:
        least, most, inner = given
        within = _steps(inner)
        if within > 1 and int(most) > 1:
            return float("inf")
        return within if least == most else within * min(int(most) - int(least) + 1, _NAME)
    if kind == "BRANCH":
        branches = given[1]
        return max(map(_steps, branches)) * _alike(branches)
    if kind in ("SUBPATTERN", "ATOMIC_GROUP"):
        return _steps(given[-1] if kind == "SUBPATTERN" else given)
    if kind in ("ASSERT", "ASSERT_NOT"):
        return _steps(given[1])
    return float("inf")  # references back and conditions


def _alike(branches: list[Any]) -> int:
    """How many of the alternatives may match at one place: of plain words those that begin another one."""
    words = [_word(branch) for branch in branches]
    plain = [word for word in words if word is not None]
    most = max((sum(word.startswith(other) for other in plain) for word in plain), default=0)
    return max(1, most + len(words) - len(plain))


def _word(branch: Any) -> str | None:
    """The text that a branch stands for, None where it is more than one."""
    parts = list(branch)
    if all(str(kind) == "LITERAL" for kind, _ in parts):
        return "".join(chr(given) for _, given in parts).lower()  # as `(?i)` would have it
    return None
