"""Which of the limits it was that cut rows: what a warning names must be what there is to raise."""

from __future__ import annotations

from typing import NamedTuple

from furrow.components.records import longest
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.prepared import Prepared

_BLOCK = "data_preprocessing"


class CutBy(NamedTuple):
    """Limits by their keys, in tokens: one, or those of which each may have done it."""

    limits: dict[str, int]

    @property
    def told(self) -> str:
        """'max_output_length 8'."""
        return " or ".join(f"{key} {tokens:,}" for key, tokens in self.limits.items())

    @property
    def where(self) -> str:
        """'data_preprocessing.max_output_length'."""
        return " or ".join(f"{_BLOCK}.{key}" for key in self.limits)


def answers_cut_by(prepared: Prepared, maker: ExampleMaker) -> CutBy:
    """What broke off answers: max_length does so with truncation `cut_answer` only."""
    own = maker.limits.max_output_length
    whole = own is None or (maker.limits.truncation == "cut_answer" and _reached(prepared, maker))
    return _of({"max_output_length": own}, maker, whole=whole)


def rows_cut_by(prepared: Prepared, maker: ExampleMaker) -> CutBy:
    """What cut them, answers or not."""
    prompts = len(prepared.truncated) > len(prepared.cut_answers)
    own = {
        "max_input_length": maker.limits.max_input_length if prompts and maker.classes is None else None,
        "max_output_length": maker.limits.max_output_length if prepared.cut_answers else None,
    }
    return _of(own, maker, whole=not any(own.values()) or _turns(prompts, maker) or _reached(prepared, maker))


def prompts_cut_by(prepared: Prepared, maker: ExampleMaker) -> CutBy:
    """What cut prompts; of a classifier's texts nothing but max_length does."""
    own = maker.limits.max_input_length if maker.classes is None else None
    return _of({"max_input_length": own}, maker, whole=own is None or _turns(True, maker) or _reached(prepared, maker))


def _turns(prompts: bool, maker: ExampleMaker) -> bool:
    """Whether max_length may have taken whole turns, which leaves less than it allows."""
    return prompts and maker.limits.truncation == "cut_turns"


def _reached(prepared: Prepared, maker: ExampleMaker) -> bool:
    """Whether an example is as long as max_length allows: what it cuts, is."""
    return longest(prepared.examples) >= maker.max_length


def _of(own: dict[str, int | None], maker: ExampleMaker, *, whole: bool) -> CutBy:
    limits = {key: tokens for key, tokens in own.items() if tokens is not None}
    return CutBy(limits | ({"max_length": maker.max_length} if whole else {}))
