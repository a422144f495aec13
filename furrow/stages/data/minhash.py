"""MinHash: of each text the smallest hashes of its groups of characters, which two texts share as often as they share
groups (Broder, 1997); and bands of them, of which near duplicates have one in common (locality-sensitive hashing)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_HASHES = 128
"""Hashes a text: what is estimated from them is off by 0.035 (one standard deviation, at a similarity of 0.8)."""
MISSED = 0.005
"""Share of the pairs just at the wanted similarity that have no band in common."""
_SEED = 0x5EED
_BASE, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
"""Odd constants of splitmix64."""


@dataclass(frozen=True)
class MinHash:
    """`bands` of `rows` hashes each. Texts are compared in groups of `group` characters."""

    bands: int
    rows: int
    group: int

    @staticmethod
    def finding(similarity: float, group: int) -> MinHash:
        """As many hashes a band as MOST_HASHES in all allow: the more, the fewer pairs that are not alike share one.

        A pair with Jaccard s shares a band of r hashes with probability s^r, and one of b bands with 1 - (1 - s^r)^b.
        """
        for rows in range(16, 0, -1):
            one = similarity**rows
            bands = 1 if one >= 1 else math.ceil(math.log(MISSED) / math.log1p(-one))
            if bands * rows <= MOST_HASHES:
                return MinHash(bands, rows, group)
        raise ValueError(f"similarity {similarity} is too small to be looked for")

    @property
    def hashes(self) -> int:
        return self.bands * self.rows

    def alike_from(self, similarity: float) -> float:
        """Which share of equal hashes a pair of that similarity has at least, but for one pair in 5,000."""
        return similarity - 3.5 * math.sqrt(max(similarity * (1 - similarity), 0.01) / self.hashes)

    def signatures(self, texts: Sequence[str]) -> np.ndarray:
        """[texts, hashes] of uint32, the same on every machine."""
        padded = [text if len(text) >= self.group else text.ljust(self.group, "\0") for text in texts]
        codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
        lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
        ends = np.cumsum(lengths)
        rolled = np.zeros(len(codes) - self.group + 1, dtype=np.uint64)
        for place in range(self.group):
            rolled *= _BASE
            rolled += codes[place : place + len(rolled)]
        within = np.ones(len(rolled), dtype=bool)
        for place in range(1, self.group):  # a group that begins in one text and ends in the next
            within[ends[:-1] - place] = False
        hashed = _mixed(rolled[within])
        counts = lengths - self.group + 1
        starts = np.cumsum(counts) - counts
        factors, summands = _numbers(self.hashes)
        found = np.empty((self.hashes, len(texts)), dtype=np.uint32)
        values = np.empty_like(hashed)
        for place in range(self.hashes):
            np.multiply(hashed, factors[place], out=values)
            np.add(values, summands[place], out=values)
            np.minimum.reduceat(values, starts, out=found[place])
        return found.T

    def keys(self, signatures: np.ndarray) -> np.ndarray:
        """[bands, texts] of uint32: equal for texts of which all hashes of a band are equal."""
        grouped = signatures.T.reshape(self.bands, self.rows, -1).astype(np.uint64)
        keys = np.zeros((self.bands, grouped.shape[2]), dtype=np.uint64)
        for place in range(self.rows):
            keys = (keys ^ grouped[:, place]) * _BASE
            keys ^= keys >> np.uint64(29)
        return _mixed(keys)


def _mixed(values: np.ndarray) -> np.ndarray:
    """64 bits to 32 of which each depends on all."""
    values = values ^ (values >> np.uint64(33))
    values *= _MIX
    values ^= values >> np.uint64(29)
    values *= _BASE
    return (values >> np.uint64(32)).astype(np.uint32)


def _numbers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each hash, what it multiplies by (odd, so that no two values fall together) and adds, modulo 2^32."""
    drawn = np.random.Generator(np.random.PCG64(_SEED)).integers(0, 2**32, size=(2, count), dtype=np.uint64)
    return (drawn[0] | np.uint64(1)).astype(np.uint32), drawn[1].astype(np.uint32)
