"""The grammar of `${…}` in a strategy: a key, or a variable of the environment. A small part of OmegaConf's.

No resolver but `oc.env`, nothing nested, so that what a text refers to is known without resolving anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_REFERENCE = re.compile(r"\$\{(?P<inside>[^${}]*)\}")
_VARIABLE = re.compile(r"oc\.env:\s*(?P<name>[A-Za-z_]\w*)\s*(?P<default>,[^'\"\\\[\]:,]*)?", re.ASCII)
_KEY = re.compile(r"(?P<dots>\.*)(?P<steps>[A-Za-z_][\w-]*(\.[\w-]+|\[\d+\])*|\[\d+\])", re.ASCII)
_STEP = re.compile(r"[\w-]+", re.ASCII)
_REMEDY = "write \\${ for the characters"


@dataclass(frozen=True)
class KeyReference:
    """`${method.r}` from the top of the strategy, `${.r}` from the mapping around it, `${..x.r}` from the one above."""

    dots: int
    steps: tuple[str, ...]


@dataclass(frozen=True)
class VariableReference:
    """`${oc.env:NAME}` or `${oc.env:NAME,default}`."""

    name: str
    has_default: bool


Reference = KeyReference | VariableReference


def references(text: str) -> list[Reference]:
    """Every reference in the text, escaped ones left out. Raises ValueError for what is not in the grammar."""
    found: list[Reference] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        position = start + 2
        if (start - len(text[:start].rstrip("\\"))) % 2:  # an odd number of backslashes before it escapes it
            continue
        match = _REFERENCE.match(text, start)
        if not match:
            raise ValueError(f"a `${{` begins a reference, which must be closed and plain; {_REMEDY}")
        found.append(_reference(match["inside"].strip()))
        position = match.end()
    return found


def escape(text: str) -> str:
    """Makes a text that reads as itself: `${` becomes `\\${`, and backslashes before it are doubled."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)


def _reference(inside: str) -> Reference:
    variable = _VARIABLE.fullmatch(inside)
    if variable:
        return VariableReference(variable["name"], variable["default"] is not None)
    key = _KEY.fullmatch(inside)
    if key:
        return KeyReference(len(key["dots"]), tuple(_STEP.findall(key["steps"])))
    raise ValueError(
        f"${{{inside}}} is not understood: a reference is ${{a.key}}, ${{oc.env:NAME}} or ${{oc.env:NAME,default}}; "
        f"{_REMEDY}"
    )
