"""The optimisers by name, and which weights they treat in which way."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices as fused_devices
from transformers.optimization import Adafactor

from furrow.components.config import Config
from furrow.components.errors import RequestError
from furrow.components.events import Event, Warned
from furrow.components.fine_tuner.pytorch.optimizer_names import BITSANDBYTES
from furrow.components.fine_tuner.pytorch.optimizing.lion import Lion
from furrow.components.fine_tuner.pytorch.optimizing.muon import MuonWithAdamW
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig

Groups = list[dict[str, Any]]

_HEADS = ("score", "classifier")
"""What transformers calls the linear layer behind a classifier: it belongs to the outputs, as a vocabulary's does."""


def make_optimizer(
    model: Any, arguments: TrainingArgsConfig, method: Config, device: torch.device
) -> torch.optim.Optimizer:
    """The optimiser of `arguments.optim` over the trainable weights of the model, which lie on `device`."""
    check_optimizer(arguments, device)
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    groups = _groups(named, arguments, method)
    rate, betas = arguments.learning_rate, (arguments.adam_beta1, arguments.adam_beta2)
    adamw: dict[str, Any] = {"lr": rate, "betas": betas, "eps": arguments.adam_epsilon}
    match arguments.optim:
        case "adamw":
            return torch.optim.AdamW(groups, fused=device.type in fused_devices(), **adamw)
        case "adafactor":
            # As transformers' Trainer sets it: the learning rate is the schedule's, not one of its own.
            return Adafactor(groups, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False)
        case "lion":
            return Lion(groups, lr=rate, betas=betas)
        case "sgd":
            return torch.optim.SGD(groups, lr=rate, momentum=_or(arguments.momentum, 0.9))
        case "muon":
            outer = _outer_matrices(model)
            inner = [weight for _, weight in named if weight.ndim == 2 and id(weight) not in outer]
            others = [(name, weight) for name, weight in named if weight.ndim != 2 or id(weight) in outer]
            matrices = [{"params": inner, "lr": rate, "weight_decay": arguments.weight_decay}]
            return MuonWithAdamW(
                matrices, _groups(others, arguments, method), momentum=_or(arguments.momentum, 0.95), **adamw
            )
        case _:
            import bitsandbytes  # an extra: nobody else needs it

            kinds = {
                "adamw_8bit": bitsandbytes.optim.AdamW8bit,
                "paged_adamw_8bit": bitsandbytes.optim.PagedAdamW8bit,
                "paged_adamw_32bit": bitsandbytes.optim.PagedAdamW32bit,
            }
            return kinds[arguments.optim](groups, **adamw)


def check_optimizer(arguments: TrainingArgsConfig, device: torch.device) -> None:
    """Raises RequestError where the optimiser cannot run on this device, or its package is not installed."""
    name = arguments.optim
    if name.startswith("paged_") and device.type != "cuda":
        raise RequestError(
            f"{name} keeps its state in memory that CUDA pages in and out, and the device is {device.type}",
            where="training_args.optim",
            remedy="use adamw, or adamw_8bit where memory is short",
        )
    if name in BITSANDBYTES and importlib.util.find_spec("bitsandbytes") is None:
        raise RequestError(
            f"{name} needs bitsandbytes, which is not installed",
            where="training_args.optim",
            remedy="pip install 'furrow[quantization]', or use adamw",
        )


def optimizer_notes(arguments: TrainingArgsConfig, device: torch.device) -> Iterator[Event]:
    """What there is to say before training."""
    if arguments.optim == "adamw_8bit" and device.type != "cuda":
        # Measured for 5.3 million weights on one core: 100 ms a step, against 17 ms (AdamW) and 3 ms (fused AdamW).
        yield Warned(
            message=f"adamw_8bit on {device.type} has no kernel of its own: an update takes about 30 times as long as "
            "adamw's (20 ns a trained weight)",
            remedy="use adamw, unless its 8 bytes a trained weight do not fit",
        )


def _groups(named: list[tuple[str, torch.Tensor]], arguments: TrainingArgsConfig, method: Config) -> Groups:
    """Matrices decay; vectors (norms, biases) do not, as in transformers. LoRA+ learns B faster than A.

    LoRA+ (Hayou et al. 2024, arXiv:2402.12354): B begins at zero and has few inputs, and wants a rate `ratio` times as
    high. Vectors have the higher rate too, as in PEFT's create_loraplus_optimizer.
    """
    rate, decay = arguments.learning_rate, arguments.weight_decay
    ratio = getattr(method, "lr_ratio", 1.0)
    grouped: dict[tuple[float, float], list[torch.Tensor]] = {}
    for name, weight in named:
        fast = weight.ndim < 2 or "lora_B" in name
        key = (rate * ratio if fast else rate, decay if weight.ndim >= 2 else 0.0)
        grouped.setdefault(key, []).append(weight)
    return [{"params": weights, "lr": lr, "weight_decay": decayed} for (lr, decayed), weights in grouped.items()]


def _outer_matrices(model: Any) -> set[int]:
    """The ids of embeddings and heads: their rows stand for tokens or classes one by one, not for directions."""
    head = model.get_output_embeddings()
    outer = {id(head.weight)} if head is not None else set()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Embedding) or name.rpartition(".")[2] in _HEADS:
            outer |= {id(weight) for weight in module.parameters(recurse=False)}
    return outer


def _or(given: float | None, default: float) -> float:
    return default if given is None else given
