"""The base model and its tokenizer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from furrow.components.base_models import BaseModelConfig, source_of
from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.methods.quantized import QloraMethod
from furrow.components.fine_tuner.pytorch.methods.shared import Method
from furrow.components.models import pretrained
from furrow.components.models.loading import load_weights


def load_tokenizer(config: BaseModelConfig) -> Any:
    """The tokenizer of the base. Raises FurrowError with the hub's own words when it cannot be had."""
    return _from_hub(pretrained.load_tokenizer, config)


def load_base(
    config: BaseModelConfig,
    dtype: torch.dtype,
    method: Method | None = None,
    device: torch.device | None = None,
    labels: Sequence[str] | None = None,
) -> Any:
    """The base model's weights as `dtype`; fresh ones, drawn by torch's current seed, with `init: random`.

    `labels` makes it a classifier of these classes, with a fresh head. A method that wants quantised weights has them
    quantised on `device`; all others leave the model on the CPU.
    """
    if config.init == "random":
        settings = _from_hub(pretrained.load_config, config)
        vars(settings).pop("quantization_config", None)  # fresh weights are plain numbers
        kind: Any = AutoModelForCausalLM if labels is None else AutoModelForSequenceClassification
        if labels is not None:
            settings.num_labels = len(labels)
            settings.id2label = dict(enumerate(labels))
            settings.label2id = {label: number for number, label in enumerate(labels)}
        with pretrained.refusing_nonsense(f"config.json of {config.label}"):
            _refuse_too_large(kind, settings, dtype)
            return kind.from_config(settings, dtype=dtype)
    quantization = _quantization(method, dtype)
    return _from_hub(
        lambda source: load_weights(source, dtype=dtype, quantization=quantization, device=device, labels=labels),
        config,
    )


def _refuse_too_large(kind: Any, settings: Any, dtype: torch.dtype) -> None:
    """Fresh weights have no files to compare with: they are counted before memory is asked for. FurrowError where this
    machine has not so much."""
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in kind.from_config(settings).parameters())
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if parameters * dtype.itemsize > there:
        raise FurrowError(
            f"config.json describes {parameters:,} parameters, which take {parameters * dtype.itemsize:,} bytes, and "
            f"this machine has {there:,}",
            where="base_model",
            remedy="choose a smaller model",
        )


def _quantization(method: Method | None, dtype: torch.dtype) -> dict[str, Any] | None:
    """How the base is to be quantised, as a `ModelFolder` has it; None for all methods but QLoRA."""
    if not isinstance(method, QloraMethod):
        return None
    recipe = {"dtype": str(dtype).removeprefix("torch."), **method.recipe}
    return recipe if method.compute_dtype == "auto" else {**recipe, "bnb_4bit_compute_dtype": method.compute_dtype}


def _from_hub(load: Any, config: BaseModelConfig) -> Any:
    try:
        return load(source_of(config))
    except pretrained.Unreadable as error:
        raise FurrowError(
            f"the base model {config.label} cannot be loaded: {error.reason}",
            where="base_model",
            remedy="check the name, HF_TOKEN for a gated model, and the network; `setup` downloads it beforehand",
        ) from error


def count_parameters(model: Any) -> tuple[int, int]:
    """(trainable, all). Packed 4-bit weights count as what they stand for."""
    sizes = [(_numel(parameter), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def _numel(parameter: Any) -> int:
    state = getattr(parameter, "quant_state", None)
    return int(state.shape.numel()) if state is not None else int(parameter.numel())
