"""How many tokens a micro-batch may hold: guessed, halved when memory runs out, remembered for this machine."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from furrow.components.disk.publish import publish_text
from furrow.components.errors import FurrowError, RequestError
from furrow.components.fine_tuner.pytorch.engine import heap
from furrow.components.records import AnyExample

_SIGNS = re.compile(
    "can't allocate memory|out of memory|bad_alloc|CUBLAS_STATUS_ALLOC_FAILED|could not create a memory"
    "|could not create a primitive(?! descriptor)"
)
"""What a RuntimeError says when an allocator of torch, cuBLAS or oneDNN found no memory. (Where oneDNN cannot create
the descriptor of a primitive, it does not know how to compute it.)"""
CPU_TOKENS, DEVICE_TOKENS = 1024, 16384
"""Where `auto` begins. On a CPU, larger products are no quicker than those of 1,024 rows (docs/log.md); a GPU wants
as much as it can hold, and finds out."""
SMALLEST = 16
"""Below this, one row alone does not fit; halving further would not help."""
DAY = 24 * 60 * 60
"""Seconds for which a budget is remembered: what was short of memory may only have been busy with something else."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an allocator found no memory: of the device, or of the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and _SIGNS.search(str(error)) is not None


def reason_of(error: BaseException) -> str:
    """The first line of what it says."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


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
    tell: Callable[[int, int, str], None] = lambda tokens, tried, reason: None
    """Called with (the new budget, what was tried, why that was too much)."""
    too_much: Callable[[AnyExample | None, int, str, str], FurrowError] = field(
        default=lambda row, tokens, when, reason: FurrowError(
            f"memory ran out with one row alone {when}: {reason}", where=None if row is None else row.where
        )
    )
    """The error for what no smaller budget mends: (the row, or None for the update; its tokens; when; why)."""
    _halved: bool = field(default=False, init=False)

    def halve(self, tried: int, reason: str) -> None:
        """A budget below what was tried."""
        self.tokens = max(SMALLEST, min(self.tokens, tried) // 2)
        self._halved = True
        self.tell(self.tokens, tried, reason)

    def fits(self) -> None:
        """A whole batch went through: a budget that was found by halving is remembered on this device."""
        if self.key is not None and self._halved:
            found = {"tokens": self.tokens, "found": int(time.time())}
            with contextlib.suppress(
                OSError, RequestError
            ):  # a home that may not be written to: found out anew next time
                publish_text(_memory(), json.dumps({**_remembered(), self.key: found}, indent=1) + "\n")
        self._halved = False


def beginning(device: torch.device) -> TokenBudget:
    """Where nothing is asked for and nothing is known."""
    return TokenBudget(CPU_TOKENS if device.type == "cpu" else DEVICE_TOKENS)


def token_budget(asked: int | None, device: torch.device, about: str) -> TokenBudget:
    """The budget that is asked for, else the one remembered for this device and this kind of run (`about`) within the
    last day, else a beginning."""
    if asked is not None:
        return TokenBudget(asked)
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name = f"{properties.name}, {properties.total_memory >> 20} MiB"
    else:
        name = f"{device.type}, {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') >> 20} MiB"
    key = f"{name}: {about}"
    known = _remembered().get(key)
    return TokenBudget(known["tokens"] if known else beginning(device).tokens, key)


def _memory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "furrow" / "micro_batch_tokens.json"


def _remembered() -> dict[str, dict[str, int]]:
    """What runs of the last day found out; nothing where the file is not there or was damaged."""
    try:
        found = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {key: value for key, value in found.items() if _believed(value)} if isinstance(found, dict) else {}


def _believed(value: Any) -> bool:
    match value:
        case {"tokens": int(tokens), "found": int(found)}:
            return tokens >= SMALLEST and time.time() - found < DAY
    return False
