"""The same words at the beginning or the end of many answers: a model learns these first."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from furrow.components.records import Row
from furrow.stages.data.inspection.exchange import exchange_of
from furrow.stages.data.quality.texts import Texts

FEWEST, SHARE = 4, 0.01
"""Rows, and share of the answers that are long enough: fewer is chance."""
_LOOKED_AT = 200
"""Rows of a group that decide how many words they share."""
_MOST_GROUPS = 20
DISCLAIMER = re.compile(
    r"\bas an? (?:ai|artificial intelligence|large language|language) (?:language )?(?:model|assistant)?"
    r"|\bi(?:'|’)?m sorry,? but i can(?:no|'|’)t|\bi hope this helps|\blet me know if you (?:have|need)",
    re.IGNORECASE,
)
"""Phrases of assistants that nobody asked for."""


class Shared(NamedTuple):
    """Words that many answers begin or end with. `places`: of their rows, ascending."""

    words: str
    at: str
    """beginning or end"""
    places: np.ndarray

    @property
    def is_disclaimer(self) -> bool:
        return DISCLAIMER.search(self.words) is not None


def shared_edges(rows: Sequence[Row], beginnings: array, endings: array) -> list[Shared]:
    """The most frequent ones first."""
    found: list[Shared] = []
    for at, digests in (("beginning", beginnings), ("end", endings)):
        values = np.frombuffer(digests, dtype=np.uint64)
        known, counts = np.unique(values[values != 0], return_counts=True)
        enough = max(FEWEST, SHARE * counts.sum())
        for place in np.argsort(-counts, kind="stable")[:_MOST_GROUPS]:
            if counts[place] >= enough:
                places = np.flatnonzero(values == known[place])
                words = _common(rows, places, at)
                if words is not None:
                    found.append(Shared(words, at, places))
    return sorted(found, key=lambda each: -len(each.places))


def _common(rows: Sequence[Row], places: np.ndarray, at: str) -> str | None:
    """The words that nearly all of them share there; None where the answers are wholly the same."""
    texts = Texts()
    answers = [(exchange_of(rows[int(place)], texts).answer or "").split() for place in places[:_LOOKED_AT]]
    if len({tuple(words) for words in answers}) <= len(answers) / 2:
        return None
    if at == "end":
        answers = [words[::-1] for words in answers]
    shared: list[str] = []
    for words in zip(*answers, strict=False):
        word = max(dict.fromkeys(words), key=words.count)
        if words.count(word) < 0.9 * len(words):
            break
        shared.append(word)
    return " ".join(shared[::-1] if at == "end" else shared)
