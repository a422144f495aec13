"""Seeded splits in which a row's side hangs on what it says, or on its group, not on where it stands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furrow.components.dataset_splitter.settings import GroupedConfig, RandomSplitConfig
from furrow.components.dataset_splitter.units import Units, keys_of, numbers, taken, units
from furrow.components.records import Row


class RandomSplitter:
    """Ranks the distinct rows by a hash of seed and content; the first in rank are evaluated on.

    A rank does not depend on the other rows: rows that are added, taken away or moved change the side of no more
    rows than the share asks for.
    """

    def __init__(self, config: RandomSplitConfig) -> None:
        self._seed = config.seed

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """round(share * rows) of them, at least one where share > 0 and there are two distinct rows, and never all of
        them. Equal rows go together: where there are more of them than are missing, the next in rank is taken."""
        return _first_in_rank(units(prints), self._seed, eval_share)


class GroupedSplitter:
    """The same with groups: whole ones are evaluated on, so that a model cannot score by knowing the group."""

    def __init__(self, config: GroupedConfig) -> None:
        self._config = config

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """As many whole groups as fit into the share; the smallest one where none does."""
        return _first_in_rank(units(keys_of(rows, self._config.by)), self._config.seed, eval_share)


def _first_in_rank(together: Units, seed: int, share: float) -> list[int]:
    if share <= 0 or len(together) < 2:
        return []
    order = np.argsort(together.lots(seed), kind="stable")
    chosen = taken(order, together.sizes, max(1, int(share * len(together.of_row) + 0.5)))
    if not len(chosen):
        chosen = order[[np.argmin(together.sizes[order])]]
    return numbers(chosen, together)
