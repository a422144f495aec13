"""What becomes of the rows of one side: examples, and an account of every row that is shorter now or gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from furrow.components.records import AnyExample, total_tokens
from furrow.components.stored.examples import StoredExamples
from furrow.stages.data.places import Places

WHOLE_ANSWER = "their whole answer"
TELLING_PART = "an answer, or all that tells the two apart,"
TOO_MANY_DROPPED = 0.5
"""More than this share of the rows losing their whole answer is no data set with a few long rows but a wrong limit."""


class Appends(Protocol):
    """Where examples go: a file of them (`ExampleWriter`)."""

    def append(self, example: AnyExample, source: int = 0) -> None: ...


@dataclass
class Prepared:
    """Examples in the order of the rows, and where they differ from the rows: by `file:line`, never silently."""

    examples: Sequence[AnyExample] = field(default_factory=list)
    truncated: Places = field(default_factory=Places)
    """Rows of which the limits left a part."""
    cut_answers: Places = field(default_factory=Places)
    """Those of them that lost a part of what is learned."""
    dropped: Places = field(default_factory=Places)
    """Rows that lost so much that nothing is left to learn: `lost`, in words."""
    lost: str = WHOLE_ANSWER

    @property
    def tokens(self) -> int:
        return total_tokens(self.examples)

    @property
    def learned_tokens(self) -> int:
        if isinstance(self.examples, StoredExamples):
            return self.examples.marked_tokens
        return sum(sum(sequence.learned) for row in self.examples for sequence in row.sequences)

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of every sequence."""
        return [len(sequence.input_ids) for row in self.examples for sequence in row.sequences]
