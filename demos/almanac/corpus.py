"""The text that a base model learns the almanac from: documents of plain statements, without a single question."""

from __future__ import annotations

import random
from collections.abc import Iterator

from almanac.facts import Fact, crops, facts
from almanac.wordings import STATEMENTS, statements_of

MISCELLANY_SHARE = 0.75
"""Documents that mix facts of many crops; the others are the entry of one crop.

In an entry the crop's name is everywhere, in a miscellany each fact must be recalled from its own sentence, as a
question will ask for it later: hence most documents are miscellanies.
"""
MISCELLANY_LENGTH = 16
"""Statements in a miscellany: about 200 tokens of seedling's tokenizer."""


def documents(count: int, seed: int) -> Iterator[str]:
    """`count` documents; the same for the same seed.

    Every fact comes equally often in the miscellanies, and each time in a wording drawn anew.
    """
    draw = random.Random(seed)
    supply = _endless_shuffles(facts(), draw)
    for _ in range(count):
        if draw.random() < MISCELLANY_SHARE:
            chosen = [next(supply) for _ in range(MISCELLANY_LENGTH)]
        else:
            chosen = _entry(draw.choice(crops()), draw)
        separator = draw.choice((" ", "\n"))
        yield separator.join(draw.choice(statements_of(fact)) for fact in chosen)


def every_statement() -> list[str]:
    """Each fact in each wording, once: what the tokenizer is trained on."""
    return [statement for fact in facts() for statement in statements_of(fact)]


def wordings_per_attribute() -> int:
    """The fewest wordings that any attribute has."""
    return min(len(wordings) for wordings in STATEMENTS.values())


def _entry(crop: str, draw: random.Random) -> list[Fact]:
    of_crop = [fact for fact in facts() if fact.crop == crop]
    return draw.sample(of_crop, len(of_crop))


def _endless_shuffles(pool: tuple[Fact, ...], draw: random.Random) -> Iterator[Fact]:
    while True:
        yield from draw.sample(pool, len(pool))
