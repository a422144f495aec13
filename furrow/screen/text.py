"""Text from data and models, made safe for a terminal."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"


def printable(text: str) -> str:
    """Without control sequences: an escape character in a dataset must not move the cursor or set the clipboard."""
    return "".join(
        letter if letter in _KEPT or unicodedata.category(letter) not in ("Cc", "Cf", "Cs") or letter in "‍‌" else "�"
        for letter in text
    )
