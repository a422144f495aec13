"""Questions about the almanac: two thirds of the pairs of crop and attribute to tune on, a third never asked."""

from __future__ import annotations

import random
from collections.abc import Iterator

from almanac.facts import Fact, attributes, crops, facts
from almanac.wordings import answer_to, questions_of

HELD_OUT_EVERY = 3
"""One pair in so many is held out."""
_SEED = 7
"""Of the order in which crops are dealt their held-out attributes, and of the order of the training rows."""

Row = dict[str, str]
"""`prompt` and `completion`."""


def held_out_pairs() -> frozenset[tuple[str, str]]:
    """The (crop, attribute) pairs that are asked in the evaluation only.

    Dealt along diagonals, so that every crop lacks a third of its attributes and every attribute a third of the crops:
    what is held out is no crop and no kind of question, it is the pair.
    """
    order = random.Random(_SEED).sample(crops(), len(crops()))
    return frozenset(
        (crop, attribute)
        for row, crop in enumerate(order)
        for column, attribute in enumerate(attributes())
        if (row + column) % HELD_OUT_EVERY == 0
    )


def training_rows() -> list[Row]:
    """Every question for every fact that is not held out, in a shuffled order."""
    held_out = held_out_pairs()
    asked = [fact for fact in facts() if fact[:2] not in held_out]
    rows = [_row(question, fact) for fact in asked for question in questions_of(fact)]
    return random.Random(_SEED).sample(rows, len(rows))


def held_out_rows() -> Iterator[Row]:
    """One question for every held-out fact; the wordings of its attribute take turns."""
    held_out = held_out_pairs()
    turns = dict.fromkeys(attributes(), 0)
    for fact in facts():
        if fact[:2] in held_out:
            wordings = questions_of(fact)
            yield _row(wordings[turns[fact.attribute] % len(wordings)], fact)
            turns[fact.attribute] += 1


def every_wording() -> list[str]:
    """Each question once, about the same crop: lets a tokenizer know the words of questions."""
    first = facts()[0].crop
    return [question for fact in facts() if fact.crop == first for question in questions_of(fact)]


def _row(question: str, fact: Fact) -> Row:
    return {"prompt": question, "completion": answer_to(fact)}
