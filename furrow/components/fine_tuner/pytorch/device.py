"""Where the model lives and in which number type: what was asked for, or the best that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.hardware import DevicePrecision, HardwareConfig

_DTYPES = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Placement:
    """`compute` is the type of the products (autocast); `accelerate_precision` its name: no, fp16 or bf16."""

    device: torch.device
    compute: torch.dtype
    accelerate_precision: str


def available_devices() -> list[str]:
    """The devices of this machine that torch can use; ROCm counts as cuda, as it does in torch."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found.insert(0, "cuda")
    return found


def choose(hardware: HardwareConfig) -> Placement:
    """The device and the precision that the strategy asks for, `auto` meaning the best that is there.

    Raises RequestError when the device or the precision is not there; the error names what is.
    """
    there = available_devices()
    device = there[0] if hardware.device == "auto" else hardware.device
    if device not in there:
        raise RequestError(
            f"device {device!r} is asked for and not there",
            where="hardware.device",
            remedy=f"there is: {', '.join(there)}; `auto` takes the best of them",
        )
    asked = hardware.mixed_precision_on(cast(Any, device))
    allowed: DevicePrecision = getattr(hardware.precision, device)
    precision = _best_precision(device, allowed) if asked == "auto" else asked
    if precision == "bf16" and device == "cuda" and not _has_bf16(device):
        raise RequestError(
            f"bf16 is asked for, and {torch.cuda.get_device_name()} does not have it",
            where="hardware.optimization.mixed_precision",
            remedy="use fp16, or leave it out",
        )
    if precision == "fp16" and device != "cuda":
        raise RequestError(
            f"fp16 is asked for, and training in it needs a CUDA or ROCm device, not {device}",
            where="hardware.optimization.mixed_precision",
            remedy="use bf16 or no",
        )
    return Placement(torch.device(device), _DTYPES[precision], precision)


def accelerator_for(placement: Placement) -> Accelerator:
    """accelerate, set to this device and precision.

    It keeps both in the process for good and refuses others later; a second run in one process begins anew, with its
    own highest use of memory.
    """
    if placement.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(placement.device)
    AcceleratorState._reset_state(reset_partial_state=True)
    return Accelerator(cpu=placement.device.type == "cpu", mixed_precision=placement.accelerate_precision)


def idle_share(device: torch.device) -> float | None:
    """Share of the last sample period (up to a second) in which no kernel ran; None where nothing tells."""
    if device.type != "cuda":
        return None
    try:
        return 1 - torch.cuda.utilization(device) / 100
    except Exception:  # the management library is not there, or its own error: not every GPU tells (MIG, Jetson)
        return None


def _best_precision(device: str, allowed: DevicePrecision) -> str:
    if _has_bf16(device) and allowed.use_bf16 is not False:
        return "bf16"
    return "fp16" if device == "cuda" and allowed.use_fp16 is not False else "no"


def _has_bf16(device: str) -> bool:
    """bf16 in hardware. On a CPU that is AMX or AVX512-BF16: elsewhere it is emulated, and slower than fp32."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))
    return False
