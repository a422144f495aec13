"""A split in which no row ever changes sides: not when rows are added, taken away, moved or doubled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furrow.components.dataset_splitter.settings import HashConfig
from furrow.components.dataset_splitter.units import keys_of, numbers, units
from furrow.components.records import Row


class HashSplitter:
    """Draws a lot for each row from its content, or from one column of it, alone.

    So many rows as the share asks for are evaluated on only by chance: of n distinct ones share * n, give or take
    sqrt(share * (1 - share) * n).
    """

    def __init__(self, config: HashConfig) -> None:
        self._config = config

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """Those whose lot is below the share."""
        if eval_share <= 0:
            return []
        together = units(prints if self._config.by is None else keys_of(rows, self._config.by))
        limit = np.uint64(min(int(eval_share * 2**64), 2**64 - 1))
        return numbers(np.flatnonzero(together.lots(self._config.seed) < limit), together)
