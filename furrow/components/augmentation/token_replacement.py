"""Augmentation `token_replacement`: words of a list give way to others that mean the same."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from furrow.components.augmentation import Ask, AugmentationConfig, Unusable
from furrow.components.augmentation.texts import texts_of, with_texts
from furrow.components.augmentation.untouched import UNTOUCHED
from furrow.components.records import Row
from furrow.components.registry import Component

Word = Annotated[str, Field(min_length=1, max_length=100)]


class TokenReplacementConfig(AugmentationConfig):
    """Which words may stand for which. Whole words only, in the case of what they replace; code, placeholders,
    addresses and numbers stay as they are. `a` and `an` are minded: no word with a vowel comes behind `a`."""

    words: dict[Word, Annotated[tuple[Word, ...], Field(min_length=1)]] = Field(min_length=1)
    """Word -> those that may take its place, e.g. {big: [large, huge], fast: [quick]}. Each form that is to be replaced
    is named: `big` leaves `bigger` alone."""
    replaced_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Share of the words of the list in a text that give way; one at least, so that each row made differs."""


class TokenReplacement:
    """Implements `Augmentation`. What is replaced, and by what, hangs on the seed, the text and the number alone."""

    def __init__(self, config: TokenReplacementConfig, ask: Ask | None = None) -> None:
        self._config = config
        self._words = {" ".join(word.casefold().split()): others for word, others in config.words.items()}
        longest_first = sorted(self._words, key=len, reverse=True)
        listed = "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first)
        self._pattern = re.compile(rf"(?<![\w'’-])(?:{listed})(?![\w'’-])", re.IGNORECASE)

    def variants(self, row: Row) -> Iterator[Row | Unusable]:
        texts = texts_of(row, self._config.columns, plain=True)
        found = {place: self._replaceable(text) for place, text in texts.items()}
        if not any(found.values()):
            return
        for number in range(1, self._config.variants + 1):
            changed = {
                place: self._replaced(text, found[place], number) for place, text in texts.items() if found[place]
            }
            yield with_texts(row, changed)

    def _replaceable(self, text: str) -> list[tuple[int, int, tuple[str, ...]]]:
        """(start, end, what may stand there) of every word of the list, outside of what stays."""
        kept = iter([*(match.span() for match in UNTOUCHED.finditer(text)), (len(text) + 1, len(text) + 1)])
        start, end = next(kept)
        found = []
        for match in self._pattern.finditer(text):
            while end <= match.start():
                start, end = next(kept)
            if start < match.end():
                continue
            others = self._words[" ".join(match[0].casefold().split())]
            article = re.search(r"\b(an?)\s+\Z", text[max(0, match.start() - 8) : match.start()], re.IGNORECASE)
            if article:
                others = tuple(word for word in others if (word[0].casefold() in "aeiou") == (len(article[1]) == 2))
            cased = tuple(filter(None, (_in_the_case_of(match[0], word) for word in others)))
            if cased:
                found.append((match.start(), match.end(), cased))
        return found

    def _replaced(self, text: str, found: list[tuple[int, int, tuple[str, ...]]], number: int) -> str:
        lots = {place: self._lot(text, number, place[0]) for place in found}
        drawn = sorted(found, key=lots.__getitem__)[: max(1, round(self._config.replaced_share * len(found)))]
        pieces, done = [], 0
        for start, end, others in sorted(drawn):
            pieces += [text[done:start], others[lots[start, end, others] % len(others)]]
            done = end
        return "".join([*pieces, text[done:]])

    def _lot(self, text: str, number: int, place: int) -> int:
        said = f"{self._config.seed} {number} {place} {text}".encode(errors="surrogatepass")
        return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")


def _in_the_case_of(given: str, word: str) -> str | None:
    """`word` as `given` is written; None for writing that is neither small, Capitalised nor LARGE, as names have it."""
    if given == given.lower():
        return word
    if given == given.upper() and len(given) > 1:
        return word.upper()
    if given == given[0].upper() + given[1:].lower():
        return word[0].upper() + word[1:]
    return None


COMPONENT = Component(
    summary="replaces words by others of a list in the strategy",
    config=TokenReplacementConfig,
    factory="furrow.components.augmentation.token_replacement:TokenReplacement",
)
