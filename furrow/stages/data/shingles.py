"""What of a row is compared when near duplicates are looked for, and how alike two rows are.

Compared are groups of five characters, case and punctuation left out: of two rows, the share of groups that both have
among those that one of them has (Jaccard). Groups of characters rather than of words, because one word that is replaced
in twenty takes a fifth of all groups of three words with it, and a tenth of the groups of characters.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from furrow.components.columns import ANSWER
from furrow.components.fingerprint import NUMBERING
from furrow.components.messages import ROLES
from furrow.components.preferences import CHOSEN, VERDICT
from furrow.components.records import Row

GROUP = 5
"""Characters."""
ANSWERS_ALIKE = 0.5
"""Two rows whose answers share less than this are no duplicates, however long the text is that they ask about."""
WORDS_A_CHANGED_ONE = 20
"""One word of these may be another or be one more: in `the right soil for carrots is sand`, each makes another fact."""
_LEARNED = frozenset({*ANSWER, *CHOSEN})
_LABELS = frozenset({*VERDICT, "label", "labels"})
_BETWEEN = re.compile(r"[\s.,;:!?\"'()\[\]{}…“”„‘’‚«»‹›–—。，、；：！？「」]+")
_DENSE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
"""Letters that say as much as half a word does elsewhere."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Compared:
    """A row without what is not compared."""

    asked: str
    answered: str
    label: str
    """Class or verdict: rows that differ in it are no duplicates."""

    @property
    def whole(self) -> str:
        return f"{self.asked} {self.answered}".strip()

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset(_NUMBER.findall(self.whole))


def compared(row: Row) -> Compared:
    """What the row says: all its text, of conversations by role, without the columns that number rows."""
    asked: list[str] = []
    answered: list[str] = []
    labels: list[str] = []
    for name, value in row.columns.items():
        if name in _LABELS:
            labels.append(str(value))
        elif name not in NUMBERING:
            if isinstance(value, str):
                (answered if name in _LEARNED else asked).append(value)
            elif isinstance(value, list | Mapping):
                for is_answer, text in _told(value, name in _LEARNED):
                    (answered if is_answer else asked).append(text)
    return Compared(plain(" ".join(asked)), plain(" ".join(answered)), "\0".join(labels))


def plain(text: str) -> str:
    """Small letters, one space for whatever stands between words; Chinese, Japanese and Korean letters spread out."""
    text = _BETWEEN.sub(" ", text.casefold()).strip()
    return text if text.isascii() else _DENSE.sub(r"\g<0>  ", text)


def shingles(text: str) -> frozenset[str]:
    """Its groups of characters; a shorter text is one group, an empty one has none."""
    if len(text) <= GROUP:
        return frozenset({text} if text else ())
    return frozenset(map("".join, zip(*(text[start:] for start in range(GROUP)), strict=False)))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Share of what both have among all that they have; 1 for two empty ones."""
    common = len(one & other)
    return common / (len(one) + len(other) - common) if one or other else 1.0


@dataclass(frozen=True)
class Shingled:
    """A row ready to be compared with many."""

    text: str
    answered: str
    label: str
    words: frozenset[str]
    numbers: frozenset[str]

    @staticmethod
    def of(row: Row) -> Shingled:
        said = compared(row)
        return Shingled(said.whole, said.answered, said.label, frozenset(said.whole.split()), said.numbers)

    @functools.cached_property
    def whole(self) -> frozenset[str]:
        return shingles(self.text)

    @functools.cached_property
    def answer(self) -> frozenset[str]:
        return shingles(self.answered)

    def is_like(self, other: Shingled, similarity: float) -> bool:
        """Whether the two are near duplicates.

        Rows that differ in a number are not (`10 cm` is another fact than `15 cm`), nor are those of which more than a
        word in WORDS_A_CHANGED_ONE differs. A row that is cut off may lack numbers and words.
        """
        if self.label != other.label or not (self._continues(other) or self._says_the_same(other)):
            return False
        if jaccard(self.whole, other.whole) < similarity:
            return False
        return jaccard(self.answer, other.answer) >= min(ANSWERS_ALIKE, similarity)

    def _continues(self, other: Shingled) -> bool:
        return self.text.startswith(other.text) or other.text.startswith(self.text)

    def _says_the_same(self, other: Shingled) -> bool:
        if not (self.numbers <= other.numbers or other.numbers <= self.numbers):
            return False
        changed = max(len(self.words - other.words), len(other.words - self.words))
        return changed <= max(len(self.words), len(other.words)) / WORDS_A_CHANGED_ONE


def _told(value: Any, is_answer: bool) -> Iterator[tuple[bool, str]]:
    """(whether it is learned, text) of everything below a column."""
    if isinstance(value, str):
        yield is_answer, value
    elif isinstance(value, Mapping):
        role = value.get("role", value.get("from"))
        is_answer = is_answer or (isinstance(role, str) and ROLES.get(role) == "assistant")
        for name, inner in value.items():
            if name not in ("role", "from"):
                yield from _told(inner, is_answer)
    elif isinstance(value, list):
        for inner in value:
            yield from _told(inner, is_answer)
