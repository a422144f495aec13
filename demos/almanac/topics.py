"""What a sentence of the almanac is about, its attribute: rows to learn, and rows in other words about other crops."""

from __future__ import annotations

import random
from collections.abc import Iterator

from almanac.facts import crops, facts
from almanac.wordings import questions_of, statements_of

Row = dict[str, str]

_SEED = 7
LEARNED_ROWS = 1_200
HELD_OUT_STATEMENTS, HELD_OUT_QUESTIONS = 2, 1
"""Wordings of each attribute, its last ones, that are never learned."""
HELD_OUT_CROPS = 12
"""Every fifth crop is never learned either."""


def held_out_crops() -> set[str]:
    """The crops of the rows to measure on."""
    return set(crops()[:: len(crops()) // HELD_OUT_CROPS])


def training_rows() -> list[Row]:
    """A sample of the learned wordings about the learned crops, in a shuffled order."""
    return random.Random(_SEED).sample(list(_rows(learned=True)), LEARNED_ROWS)


def held_out_rows() -> list[Row]:
    """Every held-out wording about every held-out crop."""
    return list(_rows(learned=False))


def _rows(*, learned: bool) -> Iterator[Row]:
    away = held_out_crops()
    for fact in facts():
        if (fact.crop in away) != learned:
            said = _kept(statements_of(fact), HELD_OUT_STATEMENTS, learned)
            asked = _kept(questions_of(fact), HELD_OUT_QUESTIONS, learned)
            yield from ({"text": text, "label": fact.attribute} for text in [*said, *asked])


def _kept(wordings: list[str], held_out: int, learned: bool) -> list[str]:
    return wordings[:-held_out] if learned else wordings[-held_out:]
