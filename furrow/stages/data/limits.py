"""What stays of a row that is longer than the limits: positions of its tokens, by the policies of `truncation`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from furrow.components.records import Example, Run
from furrow.strategies.schema import PreprocessingConfig


class Kept(NamedTuple):
    """`positions` stay (none: the row is dropped); those in `unlearned` are the rest of an answer whose beginning is
    gone, and are given from now on."""

    positions: Sequence[int]
    answer_cut: bool = False
    unlearned: range = range(0)


DROPPED = Kept(())


class _Group(NamedTuple):
    """Tokens [start, stop) that are learned, or given, together; `ended`: the last one is an end token."""

    learned: bool
    start: int
    stop: int
    ended: bool


def kept_of(
    runs: Sequence[Run], limits: PreprocessingConfig, longest: int, head_of: Callable[[], int] = lambda: 1
) -> Kept:
    """`head_of` says how many tokens at the beginning stay where there is room for them, a system message; the very
    first one does in any case, for it may be the one that begins every text."""
    groups = _groups(runs)
    total = groups[-1].stop if groups else 0
    if total <= longest and limits.max_input_length is None and limits.max_output_length is None:
        return Kept(range(total))
    head = head_of()
    kept, answer_cut = _each_within(groups, limits, head)
    if len(kept) <= longest:
        return Kept(kept, answer_cut)
    if limits.truncation == "cut_prompt":
        return _without_beginning(kept, groups, longest, head, answer_cut)
    if limits.truncation == "cut_answer":
        return _without_end(kept, groups, longest)
    return DROPPED


def example_of(runs: Sequence[Run], where: str, kept: Kept | None = None) -> Example:
    """The row as an example, or what is kept of it."""
    ids: list[int] = []
    learned: list[bool] = []
    weighted = False
    for run_ids, is_learned, _, weight in runs:
        ids += run_ids
        learned += [is_learned and weight > 0] * len(run_ids)
        weighted = weighted or (is_learned and weight not in (0.0, 1.0))
    weights: list[float] | None = None
    if weighted:
        weights = [run.weight if run.learned else 0.0 for run in runs for _ in run.ids]
    if kept is None or len(kept.positions) == len(ids):
        return Example(ids, learned, where, weights)
    for at in kept.unlearned:
        learned[at] = False
        if weights is not None:
            weights[at] = 0.0
    return Example(
        [ids[at] for at in kept.positions],
        [learned[at] for at in kept.positions],
        where,
        None if weights is None else [weights[at] for at in kept.positions],
    )


def teaches(example: Example) -> bool:
    """Whether it has a token to learn that something stands before."""
    return True in example.learned[1:]


def last_answer_only(runs: Sequence[Run]) -> list[Run]:
    """What was said before the last answer belongs to the prompt."""
    last = len(runs)
    while last and not runs[last - 1].learned:
        last -= 1
    first = last
    while first and runs[first - 1].learned:
        first -= 1
    return [run._replace(learned=first <= number < last and run.learned) for number, run in enumerate(runs)]


def _groups(runs: Sequence[Run]) -> list[_Group]:
    groups: list[_Group] = []
    at = 0
    for run in runs:
        stop = at + len(run.ids)
        if groups and groups[-1].learned == run.learned:
            groups[-1] = groups[-1]._replace(stop=stop, ended=run.end)
        elif stop > at:
            groups.append(_Group(run.learned, at, stop, run.end))
        at = stop
    return groups


def _each_within(groups: Sequence[_Group], limits: PreprocessingConfig, head: int) -> tuple[list[int], bool]:
    """Every prompt within max_input_length, every answer within max_output_length."""
    kept: list[int] = []
    answer_cut = False
    for learned, start, stop, ended in groups:
        limit = limits.max_output_length if learned else limits.max_input_length
        if limit is None or stop - start <= limit:
            kept += range(start, stop)
        elif learned:
            kept += [*range(start, start + limit - ended), *([stop - 1] if ended else [])]
            answer_cut = True
        else:
            stays = 0 if start else (head if head < limit else 1)
            kept += [*range(start, start + stays), *range(stop - limit + stays, stop)]
    return kept, answer_cut


def _without_beginning(
    kept: Sequence[int], groups: Sequence[_Group], longest: int, head: int, answer_cut: bool
) -> Kept:
    """The last answer stays whole; of what stands before it, the end, and the head."""
    answer = next((group for group in reversed(groups) if group.learned), None)
    if answer is None:
        return DROPPED
    prompt = [at for at in kept if at < answer.start]
    rest = kept[len(prompt) :]
    room = longest - len(rest)
    stays = head if head < room else 1
    if room <= stays:
        return DROPPED  # not one token of what is asked
    tail = prompt[len(prompt) - room + stays :]
    torn = next((group for group in groups if group.learned and group.start < tail[0] < group.stop), None)
    unlearned = range(tail[0], torn.stop) if torn else range(0)
    return Kept([*prompt[:stays], *tail, *rest], answer_cut, unlearned)


def _without_end(kept: Sequence[int], groups: Sequence[_Group], longest: int) -> Kept:
    """The beginning; an answer that is cut keeps its end token, and a prompt whose answer is gone goes too."""
    stays = list(kept[:longest])
    last = next(group for group in groups if group.start <= stays[-1] < group.stop)
    if last.learned:
        if last.ended:
            stays[-1] = last.stop - 1
        if last.ended and (len(stays) < 2 or stays[-2] < last.start):
            stays = stays[:-1]  # nothing but the end token would be left of it
            last = next(group for group in groups if not stays or group.start <= stays[-1] < group.stop)
    if not last.learned:
        end = next((group.stop for group in reversed(groups) if group.learned and group.stop <= last.start), 0)
        stays = [at for at in stays if at < end]
    return Kept(stays, answer_cut=True) if stays else DROPPED
