"""A seeded split in which a row's side hangs on what the row says, not on where it stands."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from furrow.components.config import Config
from furrow.components.fingerprint import fingerprint
from furrow.components.records import Row
from furrow.components.registry import Component


class RandomSplitConfig(Config):
    """Which of the many random splits."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Another seed is another split; the same seed and rows are always the same one."""


class RandomSplitter:
    """Ranks the distinct rows by a hash of seed and content; the first in rank are evaluated on.

    A rank does not depend on the other rows: rows that are added, taken away or moved change the side of no more
    rows than the share asks for.
    """

    def __init__(self, config: RandomSplitConfig) -> None:
        self._seed = config.seed

    def split(self, rows: Sequence[Row], eval_share: float) -> tuple[list[Row], list[Row]]:
        """(train, eval) in the order of the file; eval has round(share * rows) rows, at least one where share > 0 and
        there are two distinct rows, and never all of them. Equal rows go together: where a group of them is larger
        than what is missing, the next in rank is taken instead."""
        prints = [fingerprint(row) for row in rows]
        chosen = self._chosen(Counter(prints), eval_share, len(rows))
        train = [row for row, print_ in zip(rows, prints, strict=True) if print_ not in chosen]
        evaluation = [row for row, print_ in zip(rows, prints, strict=True) if print_ in chosen]
        return train, evaluation

    def _chosen(self, copies: Counter[bytes], share: float, total: int) -> set[bytes]:
        if share <= 0 or len(copies) < 2:
            return set()
        missing = max(1, int(share * total + 0.5))
        ranked = sorted(copies, key=self._rank)
        chosen: set[bytes] = set()
        for print_ in ranked[:-1]:  # the last in rank is always learned
            if copies[print_] <= missing:
                chosen.add(print_)
                missing -= copies[print_]
        return chosen or {min(ranked, key=lambda print_: copies[print_])}

    def _rank(self, print_: bytes) -> bytes:
        return hashlib.blake2b(print_, key=self._seed.to_bytes(8, "big"), digest_size=16).digest()


COMPONENT = Component(
    summary="a seeded random split that keeps equal rows together",
    config=RandomSplitConfig,
    factory="furrow.components.dataset_splitter.random_split:RandomSplitter",
)
