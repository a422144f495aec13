"""What becomes of the rows of one side: examples, and an account of every row that is shorter now or gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from furrow.components.records import AnyExample, Example, Row, total_tokens
from furrow.stages.data.bad_rows import BadRows

WHOLE_ANSWER = "their whole answer"
TELLING_PART = "an answer, or all that tells the two apart,"
TOO_MANY_DROPPED = 0.5
"""More than this share of the rows losing their whole answer is no data set with a few long rows but a wrong limit."""


class Renders(Protocol):
    """What is needed of an `ExampleMaker`."""

    @property
    def max_length(self) -> int: ...

    @property
    def bad(self) -> BadRows: ...

    def answer(self, row: Row) -> Example:
        """The whole row, its last answer learned and nothing else."""
        ...

    def cut(self, example: Example) -> Example:
        """The part of it that the limits allow."""
        ...


@dataclass
class Prepared:
    """Examples in the order of the rows, and where they differ from the rows: by `file:line`, never silently."""

    examples: list[AnyExample] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    """Rows of which the end was cut away."""
    dropped: list[str] = field(default_factory=list)
    """Rows of which `lost` would have been cut away."""
    lost: str = WHOLE_ANSWER

    @property
    def tokens(self) -> int:
        return total_tokens(self.examples)

    @property
    def learned_tokens(self) -> int:
        return sum(sum(sequence.learned) for row in self.examples for sequence in row.sequences)

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of every sequence."""
        return [len(sequence.input_ids) for row in self.examples for sequence in row.sequences]
