"""Is the hardware there that the strategy asks for? Looks at the operating system; imports no torch."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from furrow.components.checks import Check

if TYPE_CHECKING:
    from furrow.components.fine_tuner.pytorch.component import PyTorchConfig

GIB = 1 << 30


def check_hardware(config: PyTorchConfig) -> Iterable[Check]:
    """The device's driver, and the memory of the machine against `memory_gb`.

    It sees drivers and RAM; what torch makes of them, and how much memory a GPU has, it does not know.
    """
    yield _device(config.hardware.device)
    yield from _memory(config.hardware.memory_gb, config.hardware.device)


def _device(wanted: str) -> Check:
    name = f"device {wanted}"
    there = list(devices())
    if wanted == "auto" or wanted in there:
        return Check(name, "passed", ", ".join(there))
    remedy = f"set hardware.device to auto or to one of {', '.join(there)}"
    return Check(name, "failed", f"no driver for it; there is: {', '.join(there)}", remedy)


def devices() -> Iterator[str]:
    """The kinds of device that the operating system has a driver for, in the order in which auto takes them."""
    if any(Path(node).exists() for node in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")):
        yield "cuda"
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        yield "mps"
    yield "cpu"


def _memory(wanted_gib: float | None, device: str) -> Iterator[Check]:
    if wanted_gib is None or device == "cuda" or (device == "auto" and "cuda" in devices()):
        return
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    enough = there >= wanted_gib
    remedy = "" if enough else "lower per_device_train_batch_size or max_length, or turn gradient_checkpointing on"
    found = f"{there:.1f} GiB of memory, made for {wanted_gib:g} GiB"
    yield Check("memory", "passed" if enough else "warning", found, remedy)
