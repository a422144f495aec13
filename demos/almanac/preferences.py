"""Pairs of answers to questions about the almanac: the fact, and the same sentence with another crop's fact in it."""

from __future__ import annotations

from collections.abc import Iterable

from almanac import questions
from almanac.facts import Fact, crops, facts
from almanac.wordings import answer_to

Row = dict[str, str]
"""`prompt`, `chosen` and `rejected`."""


def training_rows() -> list[Row]:
    """The questions to tune on, each with both answers."""
    return _pairs(questions.training_rows())


def held_out_rows() -> list[Row]:
    """The questions that are never learned, each with both answers."""
    return _pairs(questions.held_out_rows())


def _pairs(asked: Iterable[questions.Row]) -> list[Row]:
    """Both answers differ in one fact and in no other word."""
    rejected = {answer_to(fact): answer_to(_wrong(fact)) for fact in facts()}
    return [
        {"prompt": row["prompt"], "chosen": row["completion"], "rejected": rejected[row["completion"]]} for row in asked
    ]


def _wrong(fact: Fact) -> Fact:
    """What is true of the next crop in the table of which something else is true."""
    values = {each.crop: each.value for each in facts() if each.attribute == fact.attribute}
    start = crops().index(fact.crop)
    others = [*crops()[start:], *crops()[:start]]
    return fact._replace(value=next(values[crop] for crop in others if values[crop] != fact.value))
