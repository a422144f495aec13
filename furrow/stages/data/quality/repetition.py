"""One character, one line or the same few words over and over."""

from __future__ import annotations

import re

SHORTEST_JUDGED = 20
"""Characters without spaces, and words: below this, repetition says nothing ('No!!!')."""
GROUP = 5
"""Words that are looked at together."""
_WORD = re.compile(r"\w+")


def character_repetition(text: str, most: float) -> str | None:
    """Why, where one character has more than this share of the text."""
    letters = "".join(text.split())
    if len(letters) < SHORTEST_JUDGED or not _may_repeat(letters, most):
        return None
    letter = max(dict.fromkeys(letters), key=letters.count)
    return f"is mostly {letter!r}" if letters.count(letter) > most * len(letters) else None


def _may_repeat(letters: str, most: float) -> bool:
    """False where it cannot be, at a tenth of the cost of counting.

    With a share `most` over 1/2, so many of its copies must stand side by side: n letters, c of them the same and
    n - c between them, leave 2c - n - 1 neighbours that are equal. All neighbours are compared in one subtraction of
    long numbers.
    """
    if most <= 0.5 or not letters.isascii():
        return True
    number = int.from_bytes(letters.encode("ascii"), "big")
    equal = ((number >> 8) ^ number).to_bytes(len(letters), "big").count(0)
    return equal > (2 * most - 1) * len(letters) - 1


def line_repetition(text: str, least: int) -> str | None:
    """Why, where it is so many lines or more that are all the same."""
    if text.isprintable():  # no line end is
        return None
    lines = [stripped for line in text.splitlines() if (stripped := line.strip())]
    return f"is one line {len(lines)} times" if len(lines) >= least and len(set(lines)) == 1 else None


def word_repetition(text: str, most: float) -> str | None:
    """Why, where more than this share of the groups of words have stood in it before."""
    words = _WORD.findall(text.casefold())
    if len(words) < SHORTEST_JUDGED:
        return None
    groups = list(zip(*(words[start:] for start in range(GROUP)), strict=False))
    share = 1 - len(set(groups)) / len(groups)
    return f"says the same {GROUP} words again and again" if share > most else None
