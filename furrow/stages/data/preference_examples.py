"""Rows that judge answers become pairs and verdicts: rendered and cut as for sft, one prompt for both answers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from furrow.components.errors import RequestError
from furrow.components.messages import json_kind
from furrow.components.preferences import judged_of, pair_of
from furrow.components.records import Example, Judged, Pair, Row, Run, Segment
from furrow.stages.data.limits import DROPPED, Kept, example_of, last_answer_only, teaches
from furrow.stages.data.making import Making, Renders, Uncut, ends_of
from furrow.stages.data.prepared import TELLING_PART, Appends, Prepared

_MOST_WAITING = 1000
"""Answers at the beginning, all to one prompt, that wait for another one."""


class Pairs(Making):
    """`margins`: whether the column of that name is read."""

    def __init__(self, maker: Renders, prepared: Prepared, into: Appends | None, *, margins: bool = False) -> None:
        super().__init__(maker, prepared, into)
        prepared.lost = TELLING_PART
        self._margins = margins

    def parts(self, row: Row) -> list[list[Segment]]:
        return [self.maker.segments(part) for part in pair_of(row)]

    def take(self, row: Row, wholes: list[list[Run]]) -> None:
        runs = [_answer(whole) for whole in wholes]
        whole = [example_of(each, row.where) for each in runs]
        if whole[0].input_ids == whole[1].input_ids:
            raise RequestError("the chosen and the rejected answer are the same to the tokenizer", where=row.where)
        margin = _margin(row) if self._margins else None
        cut, answer_cut = self._within(row, runs)
        if not all(map(teaches, cut)) or cut[0].input_ids == cut[1].input_ids:
            self.prepared.dropped.add(row.where)
            return
        self.put(Pair(cut[0], cut[1], row.where, margin), row)
        if cut != whole:
            self.prepared.truncated.add(row.where)
        if answer_cut:
            self.prepared.cut_answers.add(row.where)

    def uncut(self, row: Row, wholes: list[list[Run]]) -> Uncut:
        runs = [_answer(whole) for whole in wholes]
        kept = self._kept(list(pair_of(row)), runs)
        whole = [example_of(each, row.where) for each in runs]
        if all(each.positions for each in kept):
            return [(each, stays.positions) for each, stays in zip(whole, kept, strict=True)]
        cut, _ = self._within(row, runs)
        return [(each, ends_of(each, part)) for each, part in zip(whole, cut, strict=True)]

    def _within(self, row: Row, runs: list[list[Run]]) -> tuple[list[Example], bool]:
        """Both sequences as the limits leave them, with the same prompt; whether an answer is shorter now."""
        parts: list[Row] | None = list(pair_of(row))
        while parts is not None:
            kept = self._kept(parts, runs)
            if all(each.positions for each in kept):
                break
            fewer = [shorter for part in parts if (shorter := self.maker.shorter(part)) is not None]
            parts = fewer if len(fewer) == len(parts) else None
            runs = [_answer(self.encoded(part)) for part in parts or ()] or runs
        else:
            kept = [DROPPED, DROPPED]
        examples = [example_of(each, row.where, stays) for each, stays in zip(runs, kept, strict=True)]
        return examples, any(each.answer_cut for each in kept)

    def _kept(self, parts: Sequence[Row], runs: Sequence[Sequence[Run]]) -> list[Kept]:
        """What is taken of the prompt for the longer answer is taken for the other one too."""
        kept = [self.maker.kept(part, each, _ENDLESS) for part, each in zip(parts, runs, strict=True)]
        lengths = [len(each.positions) for each in kept]
        most, limit = max(lengths), self.maker.max_length
        if most <= limit:
            return kept
        same = [limit - (most - length) for length in lengths] if self.maker.cuts_prompts else [limit, limit]
        return [self.maker.kept(part, each, longest) for part, each, longest in zip(parts, runs, same, strict=True)]


class Verdicts(Making):
    """Each answer borrows that of the nearest one before it to another prompt. The first ones, to whose prompt nothing
    comes before, wait for the first answer to another; where all prompts are the same, it is the one before."""

    def __init__(self, maker: Renders, prepared: Prepared, into: Appends | None) -> None:
        super().__init__(maker, prepared, into)
        self._waiting: list[tuple[Example, bool, Row]] = []
        self._before: Example | None = None
        self._lender: Example | None = None

    def parts(self, row: Row) -> list[list[Segment]]:
        return [self.maker.segments(part) for part, _ in judged_of(row)]

    def take(self, row: Row, wholes: list[list[Run]]) -> None:
        for (part, desirable), whole in zip(judged_of(row), wholes, strict=True):
            runs = _answer(whole)
            example, answer_cut = self._within(part, runs)
            if not teaches(example):
                self.prepared.dropped.add(row.where)
                continue
            if len(example.input_ids) < sum(len(run.ids) for run in runs):
                self.prepared.truncated.add(row.where)
            if answer_cut:
                self.prepared.cut_answers.add(row.where)
            self._lend(example, desirable, row)

    def uncut(self, row: Row, wholes: list[list[Run]]) -> Uncut:
        shown: Uncut = []
        for (part, _), whole in zip(judged_of(row), wholes, strict=True):
            runs = _answer(whole)
            kept = self.maker.kept(part, runs)
            example = example_of(runs, row.where)
            cut, _ = self._within(part, runs)
            positions = kept.positions or (ends_of(example, cut) if cut.input_ids else [])
            shown.append((example, positions if teaches(cut) else []))
        return shown

    def end(self) -> None:
        if self._waiting and self._before is not None:
            self._settle([self._before, *(example for example, _, _ in self._waiting[:-1])])

    def _within(self, part: Row, runs: list[Run]) -> tuple[Example, bool]:
        fewer: Row | None = part
        while not (kept := self.maker.kept(fewer or part, runs)).positions and fewer is not None:
            if (fewer := self.maker.shorter(fewer)) is not None:
                runs = _answer(self.encoded(fewer))
        return example_of(runs, part.where, kept), kept.answer_cut

    def _lend(self, example: Example, desirable: bool, row: Row) -> None:
        before, self._before = self._before, example
        if before is not None and _prompt(before) != _prompt(example):
            self._settle([example] * len(self._waiting))
            self._lender = before
        if self._lender is not None:
            self._judge(example, desirable, row, self._lender)
            return
        self._waiting.append((example, desirable, row))
        if len(self._waiting) > _MOST_WAITING:
            self._settle([example, *(each for each, _, _ in self._waiting[:-1])])
            self._lender = before

    def _settle(self, lenders: Sequence[Example]) -> None:
        for (example, desirable, row), lender in zip(self._waiting, lenders, strict=True):
            self._judge(example, desirable, row, lender)
        self._waiting = []

    def _judge(self, example: Example, desirable: bool, row: Row, lender: Example) -> None:
        unrelated = _with_answer_of(example, lender, self.maker.max_length)
        self.put(Judged(example, desirable, example.where, unrelated), row)


_ENDLESS = 2**62
"""A length that no row has."""


def prompt_length(example: Example) -> int:
    """How many tokens stand before the answer."""
    return example.learned.index(True)


def _prompt(example: Example) -> list[int]:
    return example.input_ids[: prompt_length(example)]


def _answer(runs: Sequence[Run]) -> list[Run]:
    """The last answer learned, every token of it as much as another: what a preference compares is the whole answer."""
    return [run._replace(weight=1.0) for run in last_answer_only(runs)]


def _with_answer_of(example: Example, other: Example, max_length: int) -> Example:
    prompt = _prompt(example)
    answer = other.input_ids[prompt_length(other) :]
    learned = [False] * len(prompt) + [True] * len(answer)
    return Example([*prompt, *answer][:max_length], learned[:max_length], example.where)


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
