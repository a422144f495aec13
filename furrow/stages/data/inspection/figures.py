"""How long rows are, and what of a batch is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from furrow.stages.data.inspection.findings import Histogram, Lengths

BINS = 40
_PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)
_SEED = 0


def lengths_of(what: str, unit: str, values: Sequence[int] | np.ndarray) -> Lengths | None:
    """None where there is nothing to be said of."""
    lengths = np.asarray(values, dtype=np.int64)
    if not len(lengths):
        return None
    told = {str(share): int(np.percentile(lengths, share, method="nearest")) for share in _PERCENTILES}
    return Lengths(what, unit, int(lengths.sum()), float(lengths.mean()), told, _histogram(lengths))


def _histogram(lengths: np.ndarray) -> Histogram:
    """Bins of the same whole width, from 0 to beyond the longest."""
    width = -(-(int(lengths.max()) + 1) // BINS)
    edges = np.arange(0, int(lengths.max()) + 1 + width, width)
    counts, _ = np.histogram(lengths, edges)
    return Histogram(edges.astype(float).tolist(), counts.tolist())


def padding(lengths: np.ndarray, batch_rows: int) -> tuple[float, float]:
    """Share of a batch that is padding: with rows in random order, and with rows of like length together."""
    if not len(lengths):
        return 0.0, 0.0
    shuffled = np.random.Generator(np.random.PCG64(_SEED)).permutation(lengths)
    return _padding(shuffled, batch_rows), _padding(np.sort(lengths), batch_rows)


def _padding(lengths: np.ndarray, batch_rows: int) -> float:
    starts = np.arange(0, len(lengths), batch_rows)
    longest = np.maximum.reduceat(lengths, starts)
    places = int((longest * np.diff(np.r_[starts, len(lengths)])).sum())
    return 1 - int(lengths.sum()) / places if places else 0.0
