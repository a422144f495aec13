"""What stands in a text and is no prose: code, placeholders, addresses, numbers. Nobody may put it in other words."""

from __future__ import annotations

import re
from collections import Counter

_KINDS = (
    r"```.*?(?:```|\Z)",  # a block of code, also one that nobody closes
    r"`[^`\n]*`",
    r"\$[^$\n]{1,200}\$",  # a formula
    r"\{\{[^{}\n]{0,200}\}\}|\{[^{}\n]{0,200}\}",
    r"<[^<>\n]{1,200}>",
    r"\[[A-Z_]{2,40}\]|%\([a-z_]{1,40}\)s|%[sd]\b",
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s<>\"']+",
    r"[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}",
    r"(?<![\w/])(?:~|\.{1,2})?(?:/[\w.-]{1,64}){2,32}",
    r"(?<!\w)[^\W_]*+(?:_++[^\W_]*+)++|(?<!\w)\w{1,64}\(\)",  # names of variables and functions
    r"(?<!\w)[#@]\w+",
    r"\d+(?:[.,:/-]\d+)*",
)
UNTOUCHED = re.compile("|".join(_KINDS), re.DOTALL)
"""Each repetition has a bound, gives nothing back (`++`), or has an end that it cannot run past: a hostile text is gone
through in linear time."""


def lost(before: str, after: str) -> str | None:
    """The first such piece of `before` that `after` does not hold as often, or None."""
    missing = Counter(UNTOUCHED.findall(before)) - Counter(UNTOUCHED.findall(after))
    return next(iter(missing), None)
