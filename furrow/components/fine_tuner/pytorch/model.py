"""The base model, its tokenizer, and the method that makes part of it trainable."""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from furrow.components.base_models import BaseModelConfig, source_of
from furrow.components.errors import FurrowError, RequestError
from furrow.components.fine_tuner.pytorch.method import FullMethod, LoraMethod

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value", "dense", "out_proj", "c_attn")
"""What architectures call the matrices of attention."""


def load_tokenizer(config: BaseModelConfig) -> Any:
    """The tokenizer of the base. Raises FurrowError with the hub's own words when it cannot be had."""
    return _from_hub(lambda source, **more: AutoTokenizer.from_pretrained(source, **more), config)


def load_base(config: BaseModelConfig, dtype: torch.dtype) -> Any:
    """The base model's weights as `dtype`; fresh ones, drawn by torch's current seed, with `init: random`."""
    if config.init == "random":
        settings = _from_hub(lambda source, **more: AutoConfig.from_pretrained(source, **more), config)
        return AutoModelForCausalLM.from_config(settings, dtype=dtype)
    return _from_hub(
        lambda source, **more: AutoModelForCausalLM.from_pretrained(source, dtype=dtype, use_safetensors=True, **more),
        config,
    )


def _from_hub(load: Any, config: BaseModelConfig) -> Any:
    source = source_of(config)
    revision = {"revision": config.revision} if config.revision else {}
    try:
        return load(source, trust_remote_code=False, **revision)
    except (OSError, ValueError) as error:
        raise FurrowError(
            f"the base model {config.label} cannot be loaded: {str(error).strip().splitlines()[0]}",
            where="base_model",
            remedy="check the name, HF_TOKEN for a gated model, and the network; `setup` downloads it beforehand",
        ) from error


def apply_method(model: Any, method: LoraMethod | FullMethod, base_name: str) -> Any:
    """Marks what is trained: everything (`full`), or adapters put beside the frozen weights (`lora`).

    Raises RequestError when `target_modules` names what the model does not have.
    """
    if isinstance(method, FullMethod):
        return model.float().requires_grad_(True)
    settings = LoraConfig(
        r=method.r,
        lora_alpha=method.alpha,
        lora_dropout=method.dropout,
        target_modules=_targets(model, method.target_modules),
        bias=method.bias,
        use_rslora=method.use_rslora,
        rank_pattern=dict(method.rank_pattern),
        alpha_pattern=dict(method.alpha_pattern),
        task_type="CAUSAL_LM",
    )
    adapted = get_peft_model(model, settings)
    adapted.peft_config["default"].base_model_name_or_path = base_name
    return adapted


def _targets(model: Any, asked: Any) -> str | list[str]:
    """The names for PEFT. `auto` and `all-linear` mean every linear layer but the head."""
    if asked in ("auto", "all-linear"):
        return "all-linear"
    linear = [path for path, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    there = sorted({path.rpartition(".")[2] for path in linear})
    if asked == "attention":
        return [name for name in there if name in _ATTENTION]
    missing = [name for name in asked if not any(name == path or path.endswith(f".{name}") for path in linear)]
    if missing:
        raise RequestError(
            f"the base model has no linear layer {', '.join(map(repr, missing))}",
            where="method.target_modules",
            remedy=f"its linear layers: {', '.join(there)}; or all-linear, attention",
        )
    return list(asked)


def count_parameters(model: Any) -> tuple[int, int]:
    """(trainable, all)."""
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)
