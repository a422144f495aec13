"""Which settings of different blocks cannot go together because of the method, and what `setup` asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from furrow.components.checks import Check, check_package
from furrow.components.fine_tuner.pytorch.hardware_checks import check_hardware, devices
from furrow.components.fine_tuner.pytorch.method import FullMethod
from furrow.components.fine_tuner.pytorch.methods.prompts import PrefixMethod, VirtualTokens
from furrow.components.fine_tuner.pytorch.methods.quantized import QloraMethod
from furrow.components.fine_tuner.pytorch.optimizer_names import BITSANDBYTES

if TYPE_CHECKING:
    from furrow.components.fine_tuner.pytorch.component import PyTorchConfig


def checks(config: PyTorchConfig) -> Iterable[Check]:
    """Device and memory, and what quantised weights need."""
    yield from check_hardware(config)
    optimiser = config.training_args.optim
    if isinstance(config.method, QloraMethod) or optimiser in BITSANDBYTES:
        yield check_package("bitsandbytes", "quantization")
    if optimiser.startswith("paged_"):
        device = config.hardware.device if config.hardware.device != "auto" else next(devices())
        where = f"optimizer {optimiser}"
        if device == "cuda":
            yield Check(where, "passed", "a CUDA device to page from")
        else:
            yield Check(where, "failed", f"it pages from CUDA, and the device is {device}", "set optim to adamw_8bit")


def conflicts(config: PyTorchConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path of the key to blame, why and what instead)."""
    method, objective = config.method, config.objective.type
    if isinstance(method, PrefixMethod) and config.hardware.optimization.gradient_checkpointing:
        yield (
            ("hardware", "optimization", "gradient_checkpointing"),
            "a prefix lives in the cache of keys, which checkpointed layers do not keep: turn it off, or say "
            "`method: prompt` or `method: lora`",
        )
    if isinstance(method, VirtualTokens) and objective in ("classification", "reward"):
        yield (
            ("method", "type"),
            f"virtual tokens leave the head of a {objective} model untrained; say `type: lora`, which trains it too",
        )
    if config.training_args.optim == "muon" and not isinstance(method, FullMethod):
        yield (
            ("training_args", "optim"),
            f"muon is for whole matrices, and the method is {method.type}: say adamw, or `method: full`",
        )
    if isinstance(method, QloraMethod) and config.base_model.init == "random":
        yield (
            ("base_model", "init"),
            "random weights would be quantised before they learned anything; say `method: full`",
        )
