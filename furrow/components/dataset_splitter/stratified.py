"""A split whose sides have the same proportions of something: of classes, of sources, of short and long answers."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from furrow.components.columns import ANSWER, MESSAGES
from furrow.components.dataset_splitter.settings import StratifiedConfig
from furrow.components.dataset_splitter.units import numbers, taken, units, value_of
from furrow.components.errors import RequestError
from furrow.components.records import Row

MOST_STRATA = 0.5
"""Strata for each row; where there are more, most are of one row, and nothing can be said of proportions."""


class StratifiedSplitter:
    """Takes the same share of every stratum, to within a row."""

    def __init__(self, config: StratifiedConfig) -> None:
        self._config = config

    def evaluated(self, rows: Sequence[Row], prints: Sequence[bytes], eval_share: float) -> list[int]:
        """round(share * rows) of them, shared out by largest remainders; a stratum of one distinct row is learned."""
        together = units(prints)
        if eval_share <= 0 or len(together) < 2:
            return []
        strata = self._strata(rows)[together.first]
        order = np.lexsort((together.lots(self._config.seed), strata))
        sizes = np.bincount(strata, weights=together.sizes).astype(np.int64)
        wanted = _shared_out(sizes, eval_share)
        parts = np.split(order, np.cumsum(np.bincount(strata))[:-1])
        chosen = [taken(part, together.sizes, int(rows)) for part, rows in zip(parts, wanted, strict=True)]
        return numbers(np.concatenate(chosen), together)

    def _strata(self, rows: Sequence[Row]) -> np.ndarray:
        """The number of each row's stratum."""
        column = self._config.by
        if column is None:
            return self._binned(np.array(array("d", map(answer_length, rows))))
        figures, keys, all_numbers = array("d"), bytearray(), True
        for row in rows:
            value = value_of(row, column, may_be_null=True)
            figure = _figure(value)
            all_numbers = all_numbers and figure is not None
            figures.append(figure or 0.0)
            text = json.dumps(value, sort_keys=True).encode()
            keys += hashlib.blake2b(text, digest_size=8).digest()
        _, strata = np.unique(np.frombuffer(bytes(keys), dtype=np.uint64), return_inverse=True)
        count = int(strata.max()) + 1
        if all_numbers and count > self._config.bins:
            return self._binned(np.array(figures))
        if count > MOST_STRATA * len(rows):
            raise RequestError(
                f"column {column!r} has {count:,} values in {len(rows):,} rows, which makes no strata",
                where="dataset.splitter.by",
                remedy="name a column with few values, such as a class; without `by`, the length of the answer is used",
            )
        return np.asarray(strata)

    def _binned(self, figures: np.ndarray) -> np.ndarray:
        """Bins of about equal size; equal figures are in one."""
        edges = np.quantile(figures, np.arange(1, self._config.bins) / self._config.bins)
        _, strata = np.unique(np.searchsorted(edges, figures, side="right"), return_inverse=True)
        return np.asarray(strata)


def _figure(value: Any) -> float | None:
    """The value as a number; None for what is none, and for one of more than 308 digits."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _shared_out(sizes: np.ndarray, share: float) -> np.ndarray:
    """How many rows of each stratum; together round(share * rows), at least one."""
    exact = sizes * share
    wanted = np.floor(exact + 1e-9).astype(np.int64)
    missing = max(1, int(share * sizes.sum() + 0.5)) - int(wanted.sum())
    wanted[np.argsort(-(exact - wanted), kind="stable")[:missing]] += 1
    return wanted


def answer_length(row: Row) -> int:
    """Characters of what is learned of a row: its answer, or its text. Raises RequestError where neither is there."""
    for name in (*ANSWER, "chosen", "text", "label"):
        value = row.columns.get(name)
        if isinstance(value, str):
            return len(value)
        if isinstance(value, list):
            return _said(value)
    for name in MESSAGES:
        value = row.columns.get(name)
        if isinstance(value, list):
            return _said(value)
    raise RequestError(
        "the row has no answer whose length could be taken",
        where=row.where,
        remedy="name a column as dataset.splitter.by, or the one with the answer in dataset.columns",
    )


def _said(messages: list[Any]) -> int:
    """Characters of the assistant's messages."""
    length = 0
    for message in messages:
        if isinstance(message, dict) and message.get("role", message.get("from")) in ("assistant", "gpt"):
            length += len(str(message.get("content", message.get("value")) or ""))
    return length
