"""The guide's `{input}` / `{output}` text, taken apart. Only names stand in braces: no attributes, no format specs."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from furrow.components.columns import ANSWER
from furrow.components.errors import did_you_mean

_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
_NAME = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Piece:
    """Literal text, or (`is_field`) the name of a column."""

    text: str
    is_field: bool = False


@dataclass(frozen=True)
class ParsedFormat:
    """What is given to the model (`given`: everything before the answer) and what it writes.

    Spaces directly before the answer belong to what it writes (`gap`): tokenizers join a space to the word after it,
    so a prompt that ended with one would be followed by tokens never seen in training. `tail` is literal text after the
    answer, learned too; white space at the very end is dropped, since a YAML block always brings a newline.
    """

    given: tuple[Piece, ...]
    gap: str
    answer: str
    tail: str

    @functools.cached_property
    def placeholders(self) -> tuple[str, ...]:
        """Every column that is named, in order."""
        return (*(piece.text for piece in self.given if piece.is_field), self.answer)

    @property
    def question(self) -> str:
        """The placeholder that takes a prompt typed by a person: the first one."""
        return self.placeholders[0]


def parse_format(text: str) -> ParsedFormat:
    """Raises ValueError that quotes what is wrong and says what is wanted."""
    pieces = [_piece(match) for match in _PIECE.finditer(text)]
    answers = [position for position, piece in enumerate(pieces) if piece.is_field and piece.text in ANSWER]
    if len(answers) != 1:
        found = ", ".join("{" + piece.text + "}" for piece in pieces if piece.is_field) or "none"
        raise ValueError(
            f"exactly one placeholder for the answer is wanted, one of {_braced(ANSWER)}; placeholders here: {found}"
        )
    [at] = answers
    given, tail = _joined(pieces[:at]), _joined(pieces[at + 1 :])
    if any(piece.is_field for piece in tail):
        raise ValueError(
            f"a placeholder stands after the answer {{{pieces[at].text}}}: the model would have to know it"
        )
    if not any(piece.is_field for piece in given):
        raise ValueError("no placeholder for the question stands before the answer, e.g. {input}")
    if any(piece.is_field and piece.text == "system" for piece in given):
        raise ValueError("{system} is not wanted: prompt_template.system (or a column `system`) is put first by itself")
    gap = ""
    if not given[-1].is_field:
        last = given[-1].text
        kept = last.rstrip(" \t")
        gap, given = last[len(kept) :], [*given[:-1], *([Piece(kept)] if kept else [])]
    return ParsedFormat(tuple(given), gap, pieces[at].text, "".join(piece.text for piece in tail).rstrip())


def _piece(match: re.Match[str]) -> Piece:
    token, name = match.group(0), match.group(1)
    if token in ("{{", "}}"):
        return Piece(token[0])
    if token in ("{", "}"):
        raise ValueError(f"a single {token!r}: write {token * 2!r} for a literal brace")
    if name is None:
        return Piece(token)
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{token!r} is not the name of a column: only letters, digits and _ stand in braces, "
            + (
                "no attributes, indexes or format specs"
                if re.match(r"\s*[A-Za-z_]", name)
                else did_you_mean(name, ANSWER)
            )
        )
    return Piece(name, is_field=True)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring literals made one."""
    joined: list[Piece] = []
    for piece in pieces:
        if joined and not piece.is_field and not joined[-1].is_field:
            joined[-1] = Piece(joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


def _braced(names: tuple[str, ...]) -> str:
    return ", ".join("{" + name + "}" for name in names)
