"""Folds: every row is evaluated on by one training, and learned by all others."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np

from furrow.components.dataset_splitter.settings import KFoldConfig
from furrow.components.dataset_splitter.units import Units, keys_of, numbers, units
from furrow.components.errors import RequestError
from furrow.components.records import Row


class KFoldSplitter:
    """Deals the units out in the order of their lots: the large ones first, each to the fold that has fewest rows."""

    def __init__(self, config: KFoldConfig) -> None:
        self._config = config

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """The rows of the fold; `eval_share` means nothing. Raises RequestError for fewer distinct rows than folds."""
        config = self._config
        together = units(prints if config.by is None else keys_of(rows, config.by))
        if len(together) < config.folds:
            what = "different rows" if config.by is None else f"values of column {config.by!r}"
            raise RequestError(
                f"{config.folds} folds cannot be made of {len(together)} {what}",
                where="dataset.splitter.folds",
                remedy="ask for fewer folds, or add rows",
            )
        return numbers(np.flatnonzero(_dealt(together, config.folds, config.seed) == config.fold - 1), together)


def _dealt(together: Units, folds: int, seed: int) -> np.ndarray:
    """For each unit its fold."""
    order = np.lexsort((together.lots(seed), -together.sizes))
    large = int(np.count_nonzero(together.sizes > 1))
    fold_of, rows_in = np.empty(len(together), dtype=np.int64), np.zeros(folds, dtype=np.int64)
    heap = [(0, fold) for fold in range(folds)]
    for unit in order[:large].tolist():
        rows, fold = heapq.heappop(heap)
        fold_of[unit] = fold
        rows_in[fold] = rows + int(together.sizes[unit])
        heapq.heappush(heap, (int(rows_in[fold]), fold))
    fold_of[order[large:]] = _filled_up(rows_in, len(order) - large)
    return fold_of


def _filled_up(rows_in: np.ndarray, singles: int) -> np.ndarray:
    """Folds for so many single rows, so that in the end all have the same number of rows, or as near as can be."""
    by_size = np.argsort(rows_in, kind="stable")
    levels = rows_in[by_size]
    for filled in range(len(levels), 0, -1):  # the folds that get any: those below the water line
        total = int(levels[:filled].sum()) + singles
        line, more = divmod(total, filled)
        if line >= levels[filled - 1]:
            missing = np.zeros(len(levels), dtype=np.int64)
            missing[by_size[:filled]] = line - levels[:filled] + (np.arange(filled) < more)
            return np.repeat(np.arange(len(levels)), missing)
    raise AssertionError("the smallest fold is always below the line")
