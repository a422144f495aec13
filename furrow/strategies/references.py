"""The grammar of `${…}` in a strategy: a key, or a variable of the environment. A small part of OmegaConf's.

No resolver but `oc.env`, nothing nested, so that what a text refers to is known without resolving anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARACTERS = 16 * 1024
"""Of a text with references in it: OmegaConf's grammar reads 100 kB a second."""
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
    default: str | None


Reference = KeyReference | VariableReference


def references(text: str) -> list[Reference]:
    """Every reference in the text, escaped ones left out. Raises ValueError for what is not in the grammar."""
    return [piece for piece in pieces(text) if not isinstance(piece, str)]


def pieces(text: str) -> list[str | Reference]:
    """The text taken apart into references and what stands between them, `\\${` read as `${`. Raises ValueError."""
    if "${" in text and len(text) > MAX_CHARACTERS:
        raise ValueError(f"a text with references in it has at most {MAX_CHARACTERS // 1024} KiB")
    found: list[str | Reference] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        backslashes = _backslashes(text, start, position)
        found.append(text[position : start - backslashes] + "\\" * (backslashes // 2))
        position = start + 2
        if backslashes % 2:
            found.append("${")
            continue
        match = _REFERENCE.match(text, start)
        if not match:
            raise ValueError(f"a `${{` begins a reference, which must be closed and plain; {_REMEDY}")
        found.append(_reference(match["inside"].strip()))
        position = match.end()
    return [piece for piece in [*found, text[position:]] if piece != ""]


def escape(text: str) -> str:
    """Makes a text that reads as itself: `${` becomes `\\${`, and backslashes before it are doubled."""
    return re.sub(r"(?<!\\)(\\*)\$\{", lambda match: match[1] * 2 + r"\${", text)


def _backslashes(text: str, end: int, begin: int) -> int:
    """How many stand directly before `end`, from `begin` on: an even number of them stands for half as many, an odd one
    escapes what follows."""
    start = end
    while start > begin and text[start - 1] == "\\":
        start -= 1
    return end - start


def _reference(inside: str) -> Reference:
    variable = _VARIABLE.fullmatch(inside)
    if variable:
        default = variable["default"]
        return VariableReference(variable["name"], default if default is None else default[1:].strip())
    key = _KEY.fullmatch(inside)
    if key:
        return KeyReference(len(key["dots"]), tuple(_STEP.findall(key["steps"])))
    inside = inside if len(inside) <= 60 else inside[:57] + "…"
    raise ValueError(
        f"${{{inside}}} is not understood: a reference is ${{a.key}}, ${{oc.env:NAME}} or ${{oc.env:NAME,default}}; "
        f"{_REMEDY}"
    )
