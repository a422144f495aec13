"""Slot `reward`: what an answer is worth, for policy optimisation. Knows nothing about tokens and models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Asked:
    """What the data says about a prompt: `answer`, its own answer, and `where` the row stands (`file:line`)."""

    answer: str
    where: str


class Reward(Protocol):
    """The factory takes the config."""

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], rows: Sequence[Asked]) -> list[float]:
        """One number for each completion, higher is better; all three sequences have the same length.

        `prompts` are rendered, `completions` come without their end token. Only differences between completions of one
        prompt matter to the algorithms; two rewards that are added should have the same range, best 0 to 1.
        """
        ...
