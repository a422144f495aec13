"""A splitter that evaluates on what each user said last: can the model go on from what it learned of them?"""

from collections.abc import Sequence

from furrow.components.config import Config
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.components.registry import Component


class LastOfEachConfig(Config):
    """Whose last row is evaluated on."""

    column: str = "user"
    """For each value in this column, the last row that has it is one to evaluate on."""


class LastOfEach:
    def __init__(self, config: LastOfEachConfig) -> None:
        self._column = config.column

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """As many of the last rows as the share allows; `prints` are hashes, and serve as lots."""
        last: dict[str, int] = {}
        for number, row in enumerate(rows):
            if row.columns.get(self._column) is None:
                raise RequestError(f"there is no column {self._column!r}", where=row.where)
            last[str(row.columns[self._column])] = number
        drawn = sorted(last.values(), key=lambda number: prints[number])
        return sorted(drawn[: round(len(rows) * eval_share)])


COMPONENT = Component(
    summary="evaluates on the last row of each value in a column",
    config=LastOfEachConfig,
    factory="furrow_last_of_each:LastOfEach",
)
