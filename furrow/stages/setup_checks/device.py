"""The machine, and whether its memory and number types are what the strategy's `hardware` block wants.

That the device asked for has a driver is the fine-tuner's own check; here is what it leaves open.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from furrow.components.checks import Check
from furrow.components.disk.sizes import GIB
from furrow.stages.setup_checks.accelerators import Gpu, gpus

Kind = Literal["cuda", "mps", "cpu"]
BF16_FLAGS = ("amx_bf16", "avx512_bf16")
"""Of /proc/cpuinfo: with either, a CPU computes in bfloat16; without, PyTorch emulates it, slower than float32."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
_AMPERE = (8, 0)
"""The first compute capability with bfloat16."""


@dataclass(frozen=True)
class Machine:
    """What there is to compute on."""

    cpu: str
    cores: int
    memory: int
    cpu_flags: frozenset[str]
    gpus: tuple[Gpu, ...]
    apple: bool

    @property
    def best(self) -> Kind:
        """What `auto` comes to."""
        return "cuda" if self.gpus else "mps" if self.apple else "cpu"


def machine() -> Machine:
    """This machine."""
    model, flags = _cpuinfo(Path("/proc/cpuinfo"))
    return Machine(
        cpu=model or platform.processor() or platform.machine(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cpu_flags=flags,
        gpus=tuple(gpus()),
        apple=platform.system() == "Darwin" and platform.machine() == "arm64",
    )


def check_machine(there: Machine, hardware: Any, torch_version: str | None) -> Iterator[Check]:
    """`hardware` is the fine-tuner's block of that name, None where it has none; `torch_version` as installed."""
    yield Check("machine", "passed", _described(there))
    if hardware is None:
        return
    if hardware.device == "cuda" and not there.gpus and VISIBLE in os.environ:
        found = f"no GPU can be seen, and {VISIBLE} is {os.environ[VISIBLE]!r}"
        yield Check("GPU", "failed", found, f"unset {VISIBLE}, or name a GPU in it")
    device: Kind = there.best if hardware.device == "auto" else hardware.device
    if there.gpus and torch_version and torch_version.endswith("+cpu") and hardware.device in ("auto", "cuda"):
        status: Literal["failed", "warning"] = "failed" if hardware.device == "cuda" else "warning"
        found = f"torch {torch_version} is built for CPUs only and cannot use the GPU"
        yield Check("torch build", status, found, "install a CUDA or ROCm build: https://pytorch.org/get-started")
        device = "cpu" if hardware.device == "auto" else device
    yield from _check_gpu_memory(there, hardware.memory_gb, device)
    if device != "cuda" or there.gpus:
        yield _check_precision(there, hardware.mixed_precision_on(device), device)


def installed_torch() -> str | None:
    """Its version, with the build after a `+`; None where it is not installed."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def _check_gpu_memory(there: Machine, wanted_gib: float | None, device: Kind) -> Iterator[Check]:
    if device != "cuda" or wanted_gib is None or not there.gpus:
        return
    largest = max(gpu.memory for gpu in there.gpus) / GIB
    found = f"{largest:.1f} GiB on the GPU, made for {wanted_gib:g} GiB"
    if round(largest) >= wanted_gib:  # a 24 GB card reports 23.7 GiB
        yield Check("GPU memory", "passed", found)
    else:
        remedy = "lower per_device_train_batch_size or max_length, or turn gradient_checkpointing on"
        yield Check("GPU memory", "warning", found, remedy)


def _check_precision(there: Machine, asked: str, device: Kind) -> Check:
    has_bf16 = _has_bf16(there, device)
    if asked == "auto":
        chosen = "bf16" if has_bf16 else "fp16" if device == "cuda" else "float32"
        return Check("precision", "passed", f"auto takes {chosen} on {device}")
    if asked == "bf16" and not has_bf16:
        if device == "cuda":
            return Check("precision", "failed", "bf16 is asked for, and the GPU does not have it", "use fp16 or auto")
        return Check(
            "precision", "warning", f"bf16 on this {device} is emulated, slower than float32", "use no or auto"
        )
    if asked == "fp16" and device != "cuda":
        found = f"fp16 is asked for, and training in it needs a GPU with CUDA or ROCm, not {device}"
        return Check("precision", "failed", found, "use bf16, no or auto")
    return Check("precision", "passed", f"{'float32' if asked == 'no' else asked} on {device}")


def _has_bf16(there: Machine, device: Kind) -> bool:
    if device == "cuda":
        return all(gpu.capability is None or gpu.capability >= _AMPERE for gpu in there.gpus)
    return device == "cpu" and not there.cpu_flags.isdisjoint(BF16_FLAGS)


def _described(there: Machine) -> str:
    bf16 = [flag for flag in BF16_FLAGS if flag in there.cpu_flags]
    parts = [f"{there.cpu}, {there.cores} cores, {there.memory / GIB:.1f} GiB memory" + "".join(f", {f}" for f in bf16)]
    parts += [f"{gpu.name}, {gpu.memory / GIB:.1f} GiB" for gpu in there.gpus]
    return "; ".join(parts)


def _cpuinfo(file: Path) -> tuple[str, frozenset[str]]:
    """(model name, flags) of the first processor; empty where the file does not exist, as on a Mac."""
    if not file.is_file():
        return "", frozenset()
    first = file.read_text(errors="replace").partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    return facts.get("model name", ""), frozenset(facts.get("flags", "").split())
