"""Rows made on the spot: questions and answers of words that are no words, as many as are asked for."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

WORDS = 20_000
"""Different ones."""
SHORT = (12, 20)
"""Words of a question and of an answer: some 220 bytes of text a row."""


def rows(seed: int = 1, words: tuple[int, int] = SHORT) -> Iterator[dict[str, str]]:
    """Without end, the same for the same seed."""
    chance = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    known = ["".join(chance.choices(letters, k=chance.randint(2, 9))) for _ in range(WORDS)]
    asked, answered = words
    while True:
        picked = chance.choices(known, k=asked + answered)
        yield {"prompt": " ".join(picked[:asked]) + "?", "completion": " ".join(picked[asked:]).capitalize() + "."}


def write(file: Path, *, count: int | None = None, size: int | None = None, words: tuple[int, int] = SHORT) -> int:
    """As JSON lines, until there are `count` rows or `size` bytes. Returns how many rows there are."""
    written = number = 0
    with file.open("wb") as out:
        for row in rows(words=words):
            written += out.write(json.dumps(row).encode() + b"\n")
            number += 1
            if number == count or (size is not None and written >= size):
                return number
    raise AssertionError("rows have no end")
