"""Slot `dataset_splitter`: which rows are measured on and not learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from furrow.components.records import Row


class DatasetSplitter(Protocol):
    """The factory takes the config and returns one of these. A config with `own_share: ClassVar[bool] = True` says that
    `eval_share` means nothing to it, and that it splits also where no `eval_split` is given."""

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> Sequence[int]:
        """The numbers (0 is the first row) of those to measure on, ascending; all others are learned.

        `eval_share` is in 0..1. `prints` holds 16 bytes for each row, the same for rows that say the same, which belong
        on one side; what is on both all the same is learned. Raises RequestError, with `file:line`, for a row of which
        it cannot be told.
        """
        ...


@runtime_checkable
class LeavesOut(Protocol):
    """A splitter that knows rows which are neither learned nor measured on."""

    def left_out(self, rows: Sequence[Row]) -> Sequence[int]:
        """The numbers of these rows, ascending."""
        ...
