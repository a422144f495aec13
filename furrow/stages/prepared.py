"""What became of the rows of one side: examples, and an account of every row that is shorter now or gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from furrow.components.records import AnyExample, total_tokens

WHOLE_ANSWER = "their whole answer"
TELLING_PART = "an answer, or all that tells the two apart,"


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
