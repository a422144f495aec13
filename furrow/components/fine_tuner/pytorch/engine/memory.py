"""How many tokens a micro-batch may hold: guessed, halved when memory runs out, remembered for this machine."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.engine import heap
from furrow.components.publish import publish_text

_SIGNS = (
    "can't allocate memory",
    "out of memory",
    "bad_alloc",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "could not create a memory",
)
"""What a RuntimeError says when an allocator of torch, cuBLAS or oneDNN found no memory."""
CPU_TOKENS, DEVICE_TOKENS = 1024, 16384
"""Where `auto` begins. On a CPU, larger products are no quicker than those of 1,024 rows (docs/log.md); a GPU wants
as much as it can hold, and finds out."""
SMALLEST = 16
"""Below this, one row alone does not fit; halving further would not help."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator found no memory: of the device, or of the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def free_unused(device: torch.device) -> None:
    """Lets go of what a failed attempt left behind."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "cpu":
        heap.trim()


def peak_bytes(device: torch.device) -> int | None:
    """Most memory that was in use at once: of the device, or of this process on a CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


@dataclass
class TokenBudget:
    """Tokens of a micro-batch, padding included. `key` names what it was found on; None: it is not remembered."""

    tokens: int
    key: str | None = None

    def halve(self, tried: int) -> int:
        """A budget below what was tried; returns it, and remembers it for the next run on this device."""
        self.tokens = max(SMALLEST, min(self.tokens, tried) // 2)
        if self.key is not None:
            with contextlib.suppress(
                OSError, RequestError
            ):  # a home that may not be written to: found out anew next time
                publish_text(_memory(), json.dumps({**_remembered(), self.key: self.tokens}, indent=1) + "\n")
        return self.tokens


def token_budget(asked: int | None, device: torch.device, about: str) -> TokenBudget:
    """The budget that is asked for, else the one remembered for this device and this kind of run (`about`), else a
    beginning."""
    if asked is not None:
        return TokenBudget(asked)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name = f"{properties.name}, {properties.total_memory >> 20} MiB"
    else:
        name = f"{device.type}, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20} MiB"
    key = f"{name}: {about}"
    known = _remembered().get(key)
    return TokenBudget(known or (CPU_TOKENS if device.type == "cpu" else DEVICE_TOKENS), key)


def _memory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "furrow" / "micro_batch_tokens.json"


def _remembered() -> dict[str, int]:
    """What earlier runs found out; nothing where the file is not there or was damaged."""
    try:
        found = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, int) and value > 0}
