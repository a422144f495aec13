"""Reads a Modelfile as Ollama reads it, so that what was written can be compared with what Ollama will understand.

Source: Ollama's parser/parser.go (v0.33). There are no escapes. A value is bare, or between one or three double quotes;
it runs on over lines until a line ends where its quotes are closed, whatever was meant. Characters that Go calls
unprintable are dropped: control and format characters, every space but U+0020, unassigned code points. Tabs and line
ends stay.
"""

from __future__ import annotations

import re
from typing import NamedTuple

KEYWORDS = frozenset(
    (
        "from",
        "license",
        "template",
        "system",
        "adapter",
        "draft",
        "renderer",
        "parser",
        "parameter",
        "message",
        "requires",
    )
)


class Command(NamedTuple):
    """`name` is the keyword in lower case, the parameter's own name, or `model` for FROM."""

    name: str
    value: str


class Unreadable(ValueError):
    """Ollama would refuse the text."""


def read_modelfile(text: str) -> list[Command]:
    """The commands, in order. Raises Unreadable."""
    commands: list[Command] = []
    position = _next_command(text, 0)
    while position < len(text):
        keyword, position = _word(text, position, r"([A-Za-z]+)[ \t]")
        name = keyword.lower()
        if name not in KEYWORDS:
            raise Unreadable(f"there is no command {keyword!r}")
        if name == "parameter":
            name, position = _word(text, position, r"([A-Za-z0-9_]*)[ \t]")
        value, position = _value(text, position)
        commands.append(Command("model" if name == "from" else name, value))
        position = _next_command(text, position)
    if not any(command.name == "model" for command in commands):
        raise Unreadable("there is no FROM")
    return commands


def dropped_characters(text: str) -> list[str]:
    """The characters of the text that do not survive a Modelfile, each once, in order."""
    return list(dict.fromkeys(character for character in text if not _survives(character)))


def _next_command(text: str, position: int) -> int:
    match = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*").match(text, position)
    return match.end() if match else position


def _word(text: str, position: int, pattern: str) -> tuple[str, int]:
    match = re.compile(pattern).match(text, position)
    if match is None:
        raise Unreadable(f"a command was expected at {text[position : position + 40]!r}")
    return match[1], match.end()


def _value(text: str, position: int) -> tuple[str, int]:
    """The value that begins at `position` and where it ends: the first line end at which its quotes are closed.

    The first line says whether there are quotes; only a line that ends with them can close them, so that each character
    is looked at once, however many lines there are.
    """
    kept: list[str] = []
    quotes = ""
    for line in re.compile(r"([^\r\n]*)([\r\n]|\Z)").finditer(text, position):
        piece = line[1] if line[1].isprintable() else "".join(filter(_survives, line[1]))
        if not kept:
            begun = piece.strip(" \t")
            quotes = next((each for each in ('"""', '"') if begun.startswith(each)), "")
        kept.append(piece)
        if piece.rstrip(" \t").endswith(quotes):
            value = "".join(kept).strip(" \t\r\n")
            if not quotes:
                return value, line.end()
            if len(value) >= 2 * len(quotes):
                return value[len(quotes) : -len(quotes)], line.end()
        kept.append(line[2])
    raise Unreadable("a value's quotes are not closed")


def _survives(character: str) -> bool:
    # str.isprintable and Go's strconv.IsPrint are the same set of Unicode categories; the Unicode version may differ.
    return character.isprintable() or character in "\t\r\n"
