"""How a model is asked for other words, and which of its answers are of use."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from furrow.components.augmentation import Ask
from furrow.components.augmentation.untouched import lost
from furrow.components.errors import shortened
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""What reasoning models say to themselves first."""
MOST_GROWTH, GROWTH_OF_SHORT = 3, 100
"""Characters: another wording of a text may have three times as many, and a hundred more."""
_QUOTES = {'"': '"', "“": "”", "«": "»", "„": "“"}


class AskedGeneration(GenerationConfig):
    """As `generation`, with a temperature: always the likeliest words would make every variant the same."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 512
    """Most tokens of one answer; one that is cut there is of no use, and is counted as failed."""
    temperature: Annotated[float, Field(ge=0)] = 0.7
    """0: always the likeliest words, so that there is one variant only. Guide: 0.5-1.0."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Nucleus sampling: only the likeliest tokens that together have this probability."""


def put_into(pattern: str, **values: str) -> str:
    """The pattern with `{name}` replaced for each value; braces in the values are text."""
    return re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), pattern)


def refuse_without(pattern: str, *names: str) -> str:
    """The pattern; raises ValueError where one of the placeholders is missing."""
    for name in names:
        if f"{{{name}}}" not in pattern:
            raise ValueError(f"the placeholder {{{name}}} is missing: it says where the {name} goes")
    return pattern


class Unfit(Exception):
    """An answer that cannot stand for the text."""


def answer_to(ask: Ask, question: str, generation: GenerationConfig, *, quoted: bool = False) -> str:
    """What the model says, without its thoughts and, unless it is `quoted`, without quotes around it. Raises Unfit
    where it says nothing or was cut."""
    try:
        said = ask(question, generation)
    except CutOff as error:
        raise Unfit("the answer was cut at generation.max_new_tokens") from error
    said = _THOUGHT.sub("", said).strip()
    if len(said) > 1 and not quoted and _QUOTES.get(said[0]) == said[-1]:
        said = said[1:-1].strip()
    if not said:
        raise Unfit("the answer is empty")
    return said


def is_quoted(text: str) -> bool:
    """Whether it begins with a quotation mark, as an answer to it may then, too."""
    return text.strip()[:1] in _QUOTES


def refuse_unfit(before: str, after: str) -> str:
    """`after`; raises Unfit where it lacks a number, a piece of code, a placeholder or an address of `before`, and
    where it is far longer: small models answer a question rather than put it in other words."""
    if len(after) > MOST_GROWTH * len(before) + GROWTH_OF_SHORT:
        raise Unfit("the answer is far longer than the text")
    if missing := lost(before, after):
        raise Unfit(f"the answer leaves out {shortened(missing)!r}")
    return after
