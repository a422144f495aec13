"""Short rows together in one long one, so that every row of a batch has about the same number of tokens."""

from __future__ import annotations

import bisect
import heapq
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from furrow.components.records import Example, sequence_lengths
from furrow.components.stored.examples import StoredExamples
from furrow.components.stored.views import PackedExamples


def pack(examples: Sequence[Example], length: int) -> PackedExamples:
    """Best fit, longest first: every example lies whole in one of the results, each at most `length` tokens.

    None sees another (see `layout.flat`), so that packing changes which rows make up a batch and nothing else.
    """
    sizes = _sizes(examples)
    order = np.argsort(-sizes, kind="stable")
    pack_of = _best_fit(sizes[order].tolist(), length)
    return PackedExamples(examples, order[np.argsort(pack_of, kind="stable")], np.cumsum(np.bincount(pack_of)))


def _sizes(examples: Sequence[Example]) -> np.ndarray:
    if isinstance(examples, StoredExamples):
        return examples.lengths
    places = range(len(examples))
    return np.fromiter((sum(sequence_lengths(examples, place)) for place in places), np.int64, len(examples))


def _best_fit(sizes: Sequence[int], length: int) -> np.ndarray:
    """For each the number of the pack that has the least room left of those where it fits; of several the first."""
    with_room: defaultdict[int, list[int]] = defaultdict(list)  # tokens left -> the packs, a heap
    rooms: list[int] = []  # the keys that have any, ascending
    found, packs = np.empty(len(sizes), dtype=np.int64), 0

    for place, size in enumerate(sizes):
        at = bisect.bisect_left(rooms, size)
        if at == len(rooms):
            left, number = max(length, size), packs
            packs += 1
        else:
            left = rooms[at]
            number = heapq.heappop(with_room[left])
            if not with_room[left]:
                del rooms[at]
        found[place] = number
        rest = left - size
        if not with_room[rest]:
            bisect.insort(rooms, rest)
        heapq.heappush(with_room[rest], number)
    return found
