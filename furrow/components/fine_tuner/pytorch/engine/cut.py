"""Cuts an effective batch into micro-batches by a budget of tokens. Gradients are sums: no cut changes a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from furrow.components.records import AnyExample, Packed


def cut(batch: Sequence[AnyExample], budget: int, tokens_of: Callable[[Sequence[int]], int]) -> list[list[AnyExample]]:
    """Pieces of about equal size, each within `budget` tokens (one row alone may be larger), rows by length.

    `tokens_of(lengths)` says how many tokens sequences of these lengths take up, padding included. The rows of a pack
    are cut apart like any others: that it counts as one row is over once the batch is drawn.
    """
    rows = [one for row in batch for one in (row.sequences if isinstance(row, Packed) else (row,))]
    ordered = sorted(rows, key=lambda row: max(_lengths(row)))
    whole = sum(tokens_of(_lengths(row)) for row in ordered)
    fair = whole / max(1, math.ceil(whole / budget))
    pieces: list[list[AnyExample]] = []
    lengths: list[int] = []
    for row in ordered:
        now = tokens_of(lengths) if lengths else 0
        if pieces and now < fair and tokens_of([*lengths, *_lengths(row)]) <= budget:
            pieces[-1].append(row)
            lengths += _lengths(row)
        else:
            pieces.append([row])
            lengths = _lengths(row)
    return pieces


def _lengths(row: AnyExample) -> list[int]:
    return [len(sequence.input_ids) for sequence in row.sequences]
