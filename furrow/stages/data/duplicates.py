"""Rows that say nearly the same as an earlier one: found by MinHash, and each verified by comparing the two rows."""

from __future__ import annotations

import functools
import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np

from furrow.components.events import Emit
from furrow.components.progress import counted
from furrow.components.records import Row
from furrow.components.stored.rows import first_of_equal
from furrow.stages.data.minhash import MinHash
from furrow.stages.data.shingles import GROUP, Compared, Shingled, compared

_AT_ONCE = 200_000
"""Characters that are hashed in one go: what is computed of them stays in the processor's cache."""
_COMPARED_WITH = 32
"""Rows of a bucket that the others are compared with: of a million rows out of one mould, each would meet each."""
_IN_VAIN = 8
"""Rows, the likeliest first, that a row is compared with in vain before the rest of the bucket is let be."""
_IN_VAIN_IN_ALL = 48
"""The same over all buckets: a row of a mould is like a thousand others at first sight, in each of them."""
_CROWD = 256
"""A larger bucket is a mould: it is cut by the next bands, so that rows that share more than the mould still meet."""
_SHINGLED_KEPT = 4_096
"""Rows that are kept ready to be compared, some 10 kB each at 100 words."""


def near_groups(rows: Sequence[Row], similarity: float, emit: Emit = lambda event: None) -> np.ndarray:
    """For each row the place of the first one that it is a near duplicate of; its own place where there is none.

    Rows are near duplicates if they share `similarity` of their groups of characters (`shingles.py`). Whoever has
    another's place is like that very row, not only like one that is like it. Memory: some 30 bytes a row; on disk, for
    as long as it takes, some 200. At a similarity of 0.8, 99.5 % of the pairs just there are met, the others nearly
    all; among thousands of rows out of one mould, fewer.
    """
    first = np.arange(len(rows), dtype=np.int64)
    if len(rows) < 2:
        return first
    with tempfile.TemporaryDirectory(prefix="furrow-duplicates-") as folder:
        hashing = MinHash.finding(similarity, GROUP)
        met = _Met(Path(folder), len(rows), hashing)
        prints = met.read(counted(rows, emit, "comparing rows", len(rows)))
        first = first_of_equal(prints)  # the same but for case and punctuation
        _Search(rows, similarity, first, met).run(np.flatnonzero(first == np.arange(len(rows))))
    return first


class _Met:
    """Hashes of all rows, on disk: by band, for one band at a time; and a byte of each, for the rows of a bucket."""

    def __init__(self, folder: Path, rows: int, hashing: MinHash) -> None:
        self.hashing, self._rows = hashing, rows
        self._bands = [(folder / f"band-{number}").open("w+b") for number in range(hashing.bands)]
        self._bytes_file = (folder / "bytes").open("w+b")
        self._bytes: np.ndarray | None = None
        self._map: mmap.mmap | None = None

    def read(self, rows: Iterable[Row]) -> np.ndarray:
        """Hashes them; returns what each says, as 8 bytes."""
        prints = np.empty(self._rows, dtype=np.uint64)
        done = 0
        for batch in _batches(rows):
            for said in batch:
                text = f"{said.label}\0{said.asked}\0{said.answered}".encode("utf-8", "surrogatepass")
                prints[done] = int.from_bytes(blake2b(text, digest_size=8).digest(), "little")
                done += 1
            signatures = self.hashing.signatures([said.whole for said in batch])
            for file, keys in zip(self._bands, self.hashing.keys(signatures), strict=True):
                file.write(keys.tobytes())
            self._bytes_file.write(signatures.astype(np.uint8).tobytes())
        self._bytes_file.flush()
        self._map = mmap.mmap(self._bytes_file.fileno(), 0, access=mmap.ACCESS_READ)
        self._bytes = np.frombuffer(self._map, dtype=np.uint8).reshape(self._rows, self.hashing.hashes)
        return prints

    def buckets(self, among: np.ndarray) -> Iterator[np.ndarray]:
        """Rows, ascending, of which a band is the same: every such set of two or more, band after band."""
        for number in range(len(self._bands)):
            keys = self._keys(number)[among]
            order = np.argsort(keys, kind="stable")
            ordered = keys[order]
            starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
            sizes = np.diff(np.r_[starts, len(ordered)])
            for start, size in zip(starts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
                yield from self._cut(among[order[start : start + size]], number + 1)
            if self._map is not None:
                self._map.madvise(mmap.MADV_DONTNEED)  # read again where it is wanted; else it counts as memory
        for file in (*self._bands, self._bytes_file):
            file.close()

    def _keys(self, band: int) -> np.ndarray:
        file = self._bands[band % len(self._bands)]
        file.seek(0)
        return np.frombuffer(file.read(), dtype=np.uint32)

    def _cut(self, bucket: np.ndarray, band: int) -> Iterator[np.ndarray]:
        """The bucket; of a crowd, those of its rows that share the next band, too, or the one after it."""
        if len(bucket) <= _CROWD:
            yield bucket
            return
        for following in (band, band + 1):
            keys = self._keys(following)[bucket]
            order = np.argsort(keys, kind="stable")
            cuts = np.flatnonzero(np.diff(keys[order])) + 1
            yield from (part for part in np.split(bucket[order], cuts) if len(part) > 1)

    def equal_share(self, one: int, others: np.ndarray) -> np.ndarray:
        """Of each of the others, the share of hashes that it has in common with that row."""
        assert self._bytes is not None
        shares = [
            (self._bytes[others[start : start + 10_000]] == self._bytes[one]).mean(axis=1, dtype=np.float32)
            for start in range(0, len(others), 10_000)
        ]
        return np.concatenate(shares)


class _Search:
    """Goes through the buckets; `first` is what it finds."""

    def __init__(self, rows: Sequence[Row], similarity: float, first: np.ndarray, met: _Met) -> None:
        self._similarity, self._first, self._met = similarity, first, met
        self._in_vain = np.zeros(len(first), dtype=np.uint8)
        self._enough = met.hashing.alike_from(similarity)
        self._ready = functools.lru_cache(_SHINGLED_KEPT)(lambda place: Shingled.of(rows[place]))

    def run(self, among: np.ndarray) -> None:
        first = self._first
        for bucket in self._met.buckets(among):
            self._link(bucket)
        for place in among.tolist():  # ascending: whatever it is like is settled already
            like = int(first[place])
            if like != place and first[like] != like:
                first[place] = first[like] if self._is_like(int(first[like]), place) else place
        first[:] = first[first]  # equal ones follow the one they are equal to

    def _link(self, bucket: np.ndarray) -> None:
        """Compares the first with all others, then the first of those it is not like with the rest, and so on."""
        first = self._first
        for _ in range(_COMPARED_WITH):
            if len(bucket) < 2:
                return
            one, others = int(bucket[0]), bucket[1:]
            left, in_vain = np.ones(len(others), dtype=bool), 0
            shares = self._met.equal_share(one, others)
            likely = np.flatnonzero((shares >= self._enough) & (self._in_vain[others] < _IN_VAIN_IN_ALL))
            for number in likely[np.argsort(-shares[likely], kind="stable")].tolist():
                other = int(others[number])
                if first[other] <= one:  # it has an earlier one already
                    left[number] = False
                elif self._is_like(one, other):
                    first[other], left[number], in_vain = one, False, 0
                else:
                    in_vain += 1
                    self._in_vain[other] += 1
                    if in_vain == _IN_VAIN:
                        break
            bucket = others[left]

    def _is_like(self, one: int, other: int) -> bool:
        return self._ready(one).is_like(self._ready(other), self._similarity)


def _batches(rows: Iterable[Row]) -> Iterator[list[Compared]]:
    batch: list[Compared] = []
    characters = 0
    for row in rows:
        batch.append(compared(row))
        characters += len(batch[-1].whole)
        if characters >= _AT_ONCE or len(batch) == _AT_ONCE // 50:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
