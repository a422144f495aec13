"""Activations of rows in a file that is mapped into memory: written once, read in every later epoch."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from furrow.components.disk.publish import make_folder
from furrow.components.disk.staging import scratch


class ActivationFile:
    """Room for the activations of `tokens` tokens, [tokens, width] of one number type.

    The file loses its name as soon as it is mapped: nothing is left behind however the process ends, and the space is
    free again when it has. The space is reserved at once: a disk that is full is an OSError here and not a crash later.
    """

    def __init__(self, folder: Path, tokens: int, width: int, dtype: torch.dtype) -> None:
        make_folder(folder)
        size = tokens * width * dtype.itemsize
        with scratch(folder, "activations") as place:  # of a process that is killed in here, it is swept
            file = place / "activations"
            with file.open("wb") as reserved:
                _reserve(reserved.fileno(), size)
            whole = torch.from_file(str(file), shared=True, size=tokens * width, dtype=dtype)
        self._rows = whole.view(tokens, width)
        self._places: dict[bytes, tuple[int, int, int]] = {}  # key -> (row of the file, first position, last position)
        self.used = 0
        """Tokens that are there."""

    def write(self, key: bytes, first: int, rows: Tensor) -> None:
        """The activations of positions from `first` on. Where there is no room, or they are there, nothing happens."""
        end = self.used + len(rows)
        if end > len(self._rows) or key in self._places:
            return
        self._rows[self.used : end].copy_(rows)
        self._places[key] = (self.used, first, first + len(rows))
        self.used = end

    def read(self, key: bytes, first: int, last: int) -> Tensor | None:
        """Those of positions [first, last), as a view of the file; None where they are not there."""
        row, begin, end = self._places.get(key, (0, 0, 0))
        if not begin <= first < last <= end:
            return None
        return self._rows[row + first - begin : row + last - begin]


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:  # macOS
        room = os.fstatvfs(descriptor)
        if room.f_bavail * room.f_frsize < size:
            raise OSError(f"{size} bytes are wanted, {room.f_bavail * room.f_frsize} are free")
        os.ftruncate(descriptor, size)
