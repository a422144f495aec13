"""The method that makes part of a model trainable: PEFT's own adapters, asked for in this house's words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptTuningConfig,
    TaskType,
    get_peft_model,
)
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING as IA3_FEEDFORWARD,
)
from peft.utils.constants import (
    TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING as IA3_TARGETS,
)
from transformers.pytorch_utils import Conv1D

from furrow.components.errors import RequestError, did_you_mean
from furrow.components.fine_tuner.pytorch.methods.adaptive import AdaloraMethod, Ia3Method
from furrow.components.fine_tuner.pytorch.methods.low_rank import DoraMethod, PissaMethod
from furrow.components.fine_tuner.pytorch.methods.prompts import PrefixMethod, PromptMethod
from furrow.components.fine_tuner.pytorch.methods.shared import InLayers, LowRank, Method
from furrow.components.fine_tuner.pytorch.model.init_from import go_on_from
from furrow.components.fine_tuner.pytorch.model.pissa import Beginning

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value", "dense", "out_proj", "c_attn")
"""What architectures call the matrices of attention."""


def apply_method(model: Any, method: Method, base_name: str) -> Any:
    """Marks what is trained: everything (`full`), or adapters put beside the frozen weights (a PeftModel).

    `base_name` is what the saved adapter calls its base. Raises RequestError where the method names modules or layers
    that the model does not have, or goes on from an adapter that is another one.
    """
    if method.type == "full":
        return model.float().requires_grad_(True)
    settings = peft_config(model, method)
    adapted = get_peft_model(model, settings)
    adapted.peft_config["default"].base_model_name_or_path = base_name
    if isinstance(method, LowRank):
        for name in ("rank_pattern", "alpha_pattern"):
            _check_pattern(adapted, name, getattr(method, name))
    if isinstance(method, PissaMethod):
        adapted.furrow_beginning = Beginning.of(adapted)
    if (adapter := getattr(method, "init_from", None)) is not None:
        go_on_from(adapter, adapted, base_name)
    return adapted


def peft_config(model: Any, method: Method) -> PeftConfig:
    """PEFT's config of the method on this model."""
    kind = TaskType.SEQ_CLS if "SequenceClassification" in type(model).__name__ else TaskType.CAUSAL_LM
    if isinstance(method, LowRank):
        return LoraConfig(
            task_type=kind,
            r=method.r,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            bias=method.bias,
            use_rslora=method.use_rslora,
            use_dora=isinstance(method, DoraMethod),
            rank_pattern=dict(method.rank_pattern),
            alpha_pattern=dict(method.alpha_pattern),
            init_lora_weights=_initialisation(method),
            **_places(model, method),
        )
    if isinstance(method, AdaloraMethod):
        return AdaLoraConfig(
            task_type=kind,
            init_r=method.init_r,
            target_r=method.target_r,
            lora_alpha=method.alpha,
            lora_dropout=method.dropout,
            deltaT=method.deltaT,
            beta1=method.beta1,
            beta2=method.beta2,
            orth_reg_weight=method.orth_reg_weight,
            total_step=1,  # not known yet; RankCuts sets it with tinit and tfinal before the first step
            **_places(model, method),
        )
    if isinstance(method, Ia3Method):
        return IA3Config(task_type=kind, **_ia3_places(model, method))
    if isinstance(method, PrefixMethod):
        return PrefixTuningConfig(task_type=kind, num_virtual_tokens=method.num_virtual_tokens)
    assert isinstance(method, PromptMethod), f"the method {method.type} has no config of PEFT here"
    text = {"prompt_tuning_init_text": method.init_text, "tokenizer_name_or_path": model.name_or_path}
    return PromptTuningConfig(
        task_type=kind,
        num_virtual_tokens=method.num_virtual_tokens,
        prompt_tuning_init=method.init.upper(),
        **(text if method.init == "text" else {}),
    )


def _initialisation(method: LowRank) -> bool | str:
    if not isinstance(method, PissaMethod):
        return True
    return "pissa" if method.niter is None else f"pissa_niter_{method.niter}"


def _places(model: Any, method: InLayers) -> dict[str, Any]:
    """Where the adapter goes, in PEFT's words."""
    layers = None if method.layers_to_transform is None else layer_indices(model, method.layers_to_transform)
    targets: str | list[str] = _targets(model, method.target_modules)
    if layers is not None and targets == "all-linear":  # PEFT takes layers with names only
        targets = _linear_names(model, but=_head_name(model))
    return {
        "target_modules": targets,
        "layers_to_transform": layers,
        "modules_to_save": _existing(model, method.modules_to_save),
    }


def layer_indices(model: Any, asked: Sequence[int] | str) -> list[int]:
    """The decoder layers that are meant by indices or by `last 4`; RequestError if there are fewer."""
    count = int(model.config.get_text_config().num_hidden_layers)
    if isinstance(asked, str):
        last = int(asked.removeprefix("last "))
        indices = list(range(count - last, count))
    else:
        indices = list(asked)
    beyond = [index for index in indices if not 0 <= index < count]
    if beyond:
        what = f"{asked!r}" if isinstance(asked, str) else ", ".join(map(str, beyond))
        raise RequestError(
            f"the base model has no layer {what}",
            where="method.layers_to_transform",
            remedy=f"it has {count} layers, 0 to {count - 1}",
        )
    return indices


def _targets(model: Any, asked: Any) -> str | list[str]:
    """The names for PEFT. `all-linear` means every linear layer but the head."""
    if asked == "all-linear":
        return "all-linear"
    there = _linear_names(model)
    if asked == "attention":
        names = [name for name in there if name in _ATTENTION]
        if not names:
            raise RequestError(
                "what the base model calls the matrices of its attention is not known",
                where="method.target_modules",
                remedy=f"name them; its linear layers: {', '.join(there)}",
            )
        return names
    _require_linear(model, asked, "target_modules")
    return list(asked)


def _require_linear(model: Any, asked: Sequence[str], key: str) -> None:
    linear = [path for path, module in model.named_modules() if _is_linear(module)]
    missing = [name for name in asked if not any(name == path or path.endswith(f".{name}") for path in linear)]
    if missing:
        raise RequestError(
            f"the base model has no linear layer {', '.join(map(repr, missing))}",
            where=f"method.{key}",
            remedy=f"its linear layers: {', '.join(_linear_names(model))}; or all-linear, attention",
        )


def _linear_names(model: Any, but: str | None = None) -> list[str]:
    paths = (path for path, module in model.named_modules() if _is_linear(module) and path != but)
    return sorted({path.rpartition(".")[2] for path in paths})


def _is_linear(module: Any) -> bool:
    return isinstance(module, torch.nn.Linear | Conv1D)


def _head_name(model: Any) -> str | None:
    head = model.get_output_embeddings()
    return next((path for path, module in model.named_modules() if module is head or path == "score"), None)


def _existing(model: Any, asked: Sequence[str] | None) -> list[str] | None:
    if asked is None:
        return None
    paths = [path for path, _ in model.named_modules() if path]
    if "score" in paths and "classifier" not in paths:  # what guides call the head of a classifier
        asked = ["score" if name == "classifier" else name for name in asked]
    for name in asked:
        if not any(path == name or path.endswith(f".{name}") for path in paths):
            ends = dict.fromkeys(path.rpartition(".")[2] for path in paths if not path.rpartition(".")[2].isdigit())
            raise RequestError(
                f"the base model has no module {name!r}",
                where="method.modules_to_save",
                remedy=did_you_mean(name, ends),
            )
    return list(asked)


def _ia3_places(model: Any, method: Ia3Method) -> dict[str, Any]:
    saved = _existing(model, method.modules_to_save)
    if method.target_modules != "auto":
        _require_linear(model, method.target_modules, "target_modules")
        feedforward = list(method.feedforward_modules)
        return {
            "target_modules": list(method.target_modules),
            "feedforward_modules": feedforward,
            "modules_to_save": saved,
        }
    architecture = model.config.model_type
    if architecture not in IA3_TARGETS:
        raise RequestError(
            f"which layers (IA)³ scales in {architecture} is not known",
            where="method.target_modules",
            remedy=f"name target_modules and feedforward_modules; its linear layers: {', '.join(_linear_names(model))}",
        )
    targets, feedforward = IA3_TARGETS[architecture], IA3_FEEDFORWARD.get(architecture, [])
    return {"target_modules": targets, "feedforward_modules": feedforward, "modules_to_save": saved}


def _check_pattern(adapted: Any, key: str, pattern: Mapping[str, Any]) -> None:
    """Raises RequestError for a name that fits no layer with an adapter: PEFT would pass over it in silence."""
    prefix = "base_model.model."
    paths = [
        path.removeprefix(prefix) for path, module in adapted.named_modules() if "default" in getattr(module, "r", ())
    ]
    for name in pattern:
        fits = any(re.match(rf"(.*\.)?({name})$", path) for path in paths)  # as PEFT reads it
        if not fits:
            names = dict.fromkeys(end for path in paths for end in (path.rpartition(".")[2], path))
            raise RequestError(
                f"no layer with an adapter is called {name!r}",
                where=f"method.{key}",
                remedy=_nearest_of(name, names),
            )


def _nearest_of(name: str, names: Mapping[str, None]) -> str:
    short = [one for one in names if "." not in one]
    return did_you_mean(name, names if "." in name and len(names) < 40 else short)
