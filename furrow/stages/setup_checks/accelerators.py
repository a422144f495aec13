"""The GPUs of this machine as their drivers report them; no torch.

CUDA: libcuda's driver API by ctypes, which honours CUDA_VISIBLE_DEVICES as torch does (nvidia-smi does not).
ROCm: what the amdgpu driver writes under /sys/class/drm.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DRM = Path("/sys/class/drm")
_AMD = "0x1002"
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR in cuda.h."""


@dataclass(frozen=True)
class Gpu:
    """`memory` in bytes; `capability` is CUDA's compute capability (8.0 is Ampere), None for other makers."""

    name: str
    memory: int
    capability: tuple[int, int] | None = None


def gpus() -> list[Gpu]:
    """Those of CUDA, else those of ROCm."""
    library = _libcuda()
    return list(cuda_gpus(library) if library is not None else amd_gpus(DRM))


def cuda_gpus(library: Any) -> Iterator[Gpu]:
    """What libcuda lists; nothing where it does not start (the driver does not fit the kernel, no visible device)."""
    count = ctypes.c_int()
    if library.cuInit(0) != 0 or library.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return
    for number in range(count.value):
        device, memory, name = ctypes.c_int(), ctypes.c_size_t(), ctypes.create_string_buffer(128)
        major, minor = ctypes.c_int(), ctypes.c_int()
        library.cuDeviceGet(ctypes.byref(device), number)
        library.cuDeviceGetName(name, len(name), device)
        library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
        library.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
        library.cuDeviceGetAttribute(ctypes.byref(minor), _CAPABILITY_MINOR, device)
        yield Gpu(name.value.decode(errors="replace"), memory.value, (major.value, minor.value))


def amd_gpus(folder: Path) -> Iterator[Gpu]:
    """The cards of AMD with memory of their own; `folder` is /sys/class/drm."""
    for memory in sorted(folder.glob("card*/device/mem_info_vram_total")):
        card = memory.parent
        if (card / "vendor").read_text().strip() == _AMD:
            product = card / "product_name"
            name = product.read_text().strip() if product.is_file() else ""
            yield Gpu(name or "AMD GPU", int(memory.read_text()))


def _libcuda() -> Any | None:
    try:
        return ctypes.CDLL("nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1")
    except OSError:  # no NVIDIA driver is installed
        return None
