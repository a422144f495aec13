"""A split in time: what came later is what a model that learned the past is measured on."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from furrow.components.dataset_splitter.settings import TimeConfig
from furrow.components.dataset_splitter.units import value_of
from furrow.components.errors import RequestError
from furrow.components.records import Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class TimeSplitter:
    """Cuts between two moments."""

    def __init__(self, config: TimeConfig) -> None:
        self._by = config.by

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """All rows from one moment on: the one with which their share is nearest to what is asked. Raises RequestError
        for a row without a moment, and where all rows have the same one."""
        if eval_share <= 0 or len(rows) < 2:
            return []
        times = self._times(rows)
        moments, counts = np.unique(times, return_counts=True)
        if len(moments) < 2:
            raise RequestError(
                f"all rows have the same value in column {self._by!r}: none is later than another",
                where="dataset.splitter.by",
                remedy="name another column, or another splitter",
            )
        later = counts[::-1].cumsum()[::-1][1:]  # rows from each moment on, without the first one: that is learned
        best = len(later) - 1 - np.argmin(np.abs(later[::-1] - eval_share * len(rows)))
        return np.flatnonzero(times >= moments[1:][best]).tolist()

    def _times(self, rows: Sequence[Row]) -> np.ndarray:
        times, kind, first = array("d"), "", ""
        for row in rows:
            value = value_of(row, self._by)
            read = _number(value), "a number"
            if read[0] is None:
                read = _date(value), "a date"
            if read[0] is None:
                raise RequestError(
                    f"column {self._by!r} is {_shown(value)}, which is no moment",
                    where=row.where,
                    remedy="write it as an ISO date (2024-01-31, 2024-01-31T12:00:00Z) or as a number",
                )
            if kind and read[1] != kind:
                raise RequestError(
                    f"column {self._by!r} is {read[1]} here, and {kind} in {first}: they cannot be compared",
                    where=row.where,
                    remedy="write all of them in one way",
                )
            kind, first = read[1], first or row.where
            times.append(read[0])
        return np.array(times)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _date(value: Any) -> float | None:
    """Seconds since 1970; a month alone is its first day."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    for form in (text, f"{text}-01"):
        try:
            moment = datetime.fromisoformat(form)
        except ValueError:
            continue
        return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH).total_seconds()
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
