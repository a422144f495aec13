"""Rows that judge answers become pairs and verdicts: rendered and cut as for sft, one prompt for both answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from furrow.components.errors import RequestError
from furrow.components.messages import json_kind
from furrow.components.preferences import judged_of, pair_of
from furrow.components.records import Example, Judged, Pair, Row
from furrow.stages.data.prepared import TELLING_PART, Prepared, Renders


def pairs(rows: Sequence[Row], maker: Renders, *, margins: bool = False) -> Prepared:
    """`margins`: whether the column of that name is read.

    Raises RequestError with `file:line` for a row that is no pair or does not fit the template.
    """
    prepared = Prepared(lost=TELLING_PART)
    for row in rows:
        with maker.bad.looking_at(row):
            whole = [maker.answer(part) for part in pair_of(row)]
            if whole[0].input_ids == whole[1].input_ids:
                raise RequestError("the chosen and the rejected answer are the same to the tokenizer", where=row.where)
            chosen, rejected = cut = [maker.cut(example) for example in whole]
            if not all(map(_teaches, cut)) or chosen.input_ids == rejected.input_ids:
                prepared.dropped.append(row.where)
                continue
            prepared.examples.append(Pair(chosen, rejected, row.where, _margin(row) if margins else None))
            if cut != whole:
                prepared.truncated.append(row.where)
    return prepared


def verdicts(rows: Sequence[Row], maker: Renders) -> Prepared:
    """Raises RequestError with `file:line` for a row without a verdict, or one that does not fit the template."""
    prepared = Prepared()
    kept: list[tuple[Example, bool]] = []
    for row in rows:
        with maker.bad.looking_at(row):
            for whole, desirable in [(maker.answer(part), desirable) for part, desirable in judged_of(row)]:
                example = maker.cut(whole)
                if not _teaches(example):
                    prepared.dropped.append(row.where)
                    continue
                if example != whole:
                    prepared.truncated.append(row.where)
                kept.append((example, desirable))
    examples = [example for example, _ in kept]
    for (example, desirable), lender in zip(kept, _lenders(examples), strict=True):
        unrelated = _with_answer_of(example, examples[lender], maker.max_length)
        prepared.examples.append(Judged(example, desirable, example.where, unrelated))
    return prepared


def prompt_length(example: Example) -> int:
    """How many tokens stand before the answer."""
    return example.learned.index(True)


def _lenders(examples: Sequence[Example]) -> list[int]:
    """For each the nearest one before it (the first one's is the last) that has another prompt; the one before it where
    all prompts are the same."""
    count = len(examples)
    prompts = [tuple(example.input_ids[: prompt_length(example)]) for example in examples]
    lenders: dict[int, int] = {}
    for place in [*range(count), *range(count)]:  # twice around: then the last has found what the first needs to know
        before = (place - 1) % count
        if prompts[before] != prompts[place]:
            lenders[place] = before
        elif before in lenders:
            lenders[place] = lenders[before]
    return [lenders.get(place, (place - 1) % count) for place in range(count)]


def _with_answer_of(example: Example, other: Example, max_length: int) -> Example:
    prompt = example.input_ids[: prompt_length(example)]
    answer = other.input_ids[prompt_length(other) :]
    learned = [False] * len(prompt) + [True] * len(answer)
    return Example([*prompt, *answer][:max_length], learned[:max_length], example.where)


def _teaches(example: Example) -> bool:
    return any(example.learned[1:])


def _margin(row: Row) -> float | None:
    margin = row.columns.get("margin")
    if margin is None or margin == "":  # as a table leaves it out
        return None
    try:
        number = math.nan if isinstance(margin, bool) else float(margin)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        shown = repr(margin) if isinstance(margin, str) else json_kind(margin)
        raise RequestError(f"column 'margin' is {shown}, a number is wanted", where=row.where)
    return number
