"""Text from data, models and other people's strategies, made safe for a terminal and for a page."""

from __future__ import annotations

import unicodedata

from furrow.components.secrets import scrubbed

_KEPT = "\n\t\u200c\u200d"
"""Of what is taken out otherwise: line ends, and the joiners without which Persian, Hindi and some emoji break."""
_TAKEN_OUT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of Unicode: control characters (an escape sequence begins with one; it moves the cursor or sets the
clipboard), format characters (those that turn the direction of writing around among them), halves of characters, and
line ends that only some programs take for one."""
LONGEST_LINE = 2000
"""Characters: more of a line is no message any more, but data that was put into one."""


def printable(text: str) -> str:
    """The text without secrets, and with a replacement character for every character that does something instead of
    showing something."""
    text = scrubbed(text)
    if text.isprintable():
        return text
    return "".join(
        letter if letter in _KEPT or unicodedata.category(letter) not in _TAKEN_OUT else "\N{REPLACEMENT CHARACTER}"
        for letter in text
    )


def one_line(text: str) -> str:
    """The printable text on one line of bounded length: what comes from data cannot pose as a line of ours."""
    return _cut(" ".join(printable(text).split()))


def message(text: str) -> str:
    """The printable text line by line, each of bounded length."""
    return "\n".join(_cut(printable(line)) for line in text.split("\n"))


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_LINE else line[: LONGEST_LINE - 1] + "…"
