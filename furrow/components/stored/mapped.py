"""Files that are mapped into memory, and whose pages the system can have back."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np


class Mapped:
    """The columns of one folder. They take memory once they are looked at, until it is given back."""

    def __init__(self) -> None:
        self._maps: list[mmap.mmap] = []

    def raw(self, path: Path, kind: type[np.generic]) -> np.ndarray:
        """The numbers of a file that holds nothing else."""
        return self._kept(np.memmap(path, dtype=kind, mode="r")) if path.stat().st_size else np.zeros(0, kind)

    def saved(self, path: Path) -> np.ndarray:
        """What np.save wrote."""
        return self._kept(np.load(path, mmap_mode="r", allow_pickle=False))

    def give_back(self) -> None:
        """The pages that were looked at: they come again from the file when they are wanted."""
        for each in self._maps:
            each.madvise(mmap.MADV_DONTNEED)

    def _kept(self, array: np.ndarray) -> np.ndarray:
        if isinstance(array.base, mmap.mmap):
            self._maps.append(array.base)
        return array.view(np.ndarray)
