"""Short rows together in one long one, so that every row of a batch has about the same number of tokens."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from furrow.components.records import Example, Packed


def pack(examples: Sequence[Example], length: int) -> list[Packed]:
    """Best fit, longest first: every example lies whole in one of the results, each at most `length` tokens.

    None sees another (see `layout.flat`), so that packing changes which rows make up a batch and nothing else.
    """
    room: list[tuple[int, int]] = []  # (tokens left, number of the pack), sorted
    packs: list[list[Example]] = []
    for example in sorted(examples, key=lambda example: -len(example.input_ids)):
        size = len(example.input_ids)
        fit = bisect.bisect_left(room, (size, 0))
        if fit == len(room):
            packs.append([])
            left, number = max(length, size), len(packs) - 1
        else:
            left, number = room.pop(fit)
        packs[number].append(example)
        bisect.insort(room, (left - size, number))
    return [Packed(tuple(members)) for members in packs]
