"""How glibc's malloc keeps memory that torch has freed on a CPU."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of <malloc.h>."""
_LARGEST = 2**30


def keep_freed_memory() -> bool:
    """Makes malloc keep freed memory for the next step instead of returning it to the system; says whether it could.

    Activations are freed and wanted again at every step, and each page that comes from the system is cleared first: 8
    layers of a 135M model at 600 tokens had 24,000 page faults a step, and take 12 % less time without them. For the
    whole process, from now on; `trim` gives the memory back.
    """
    libc = _glibc()
    return libc is not None and all(
        libc.mallopt(name, value) == 1 for name, value in ((_MMAP_THRESHOLD, _LARGEST), (_TRIM_THRESHOLD, _LARGEST))
    )


def trim() -> None:
    """Returns what is free to the system."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
