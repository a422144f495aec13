"""What the settings beside a model may ask for. They come from others: nothing in them runs code, and no number in them
makes anybody allocate what no model has. Knows nothing about files; raises RequestError."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.name_patterns import takes_for_ever

_CODE = frozenset(
    {"auto_map", "custom_generate", "custom_pipelines", "trust_remote_code", "use_kernels", "kernel_config"}
)
"""Keys by which a model brings Python of its own, or has it fetched."""
_ADAPTER_CODE = frozenset({"megatron_config", "arrow_config"})
"""Keys of adapter_config.json with which PEFT imports a module by its name, or loads further adapters."""
_IMPLEMENTATION = re.compile(r"_?(attn|experts)_implementation(_internal)?")
_KINDS = (
    "LORA", "ADALORA", "IA3", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", "LOHA", "LOKR", "OFT", "BOFT", "VERA",
    "LN_TUNING", "FOURIERFT", "HRA", "MISS", "BONE", "RANDLORA",
)  # fmt: skip
"""Kinds of adapters that are weights and no more. XLORA and POLY load others, MULTITASK_PROMPT_TUNING a pickle."""
_LARGEST = 1 << 24
"""No dimension of a model is above it: the longest context is 10 million, the largest vocabulary a million."""
_MOST_LAYERS = 1000
_MOST_CLASSES = 1_000_000
_NO_SIZE = re.compile(r"theta|base$|_token_ids?$|rope|wavelength|params|flos|clip|value|_val$|seed")
"""Keys of whole numbers that are no size."""
_WIDTHS = frozenset(
    {"vocab_size", "hidden_size", "intermediate_size", "n_embd", "d_model", "n_inner", "ffn_dim", "dim"}
)
"""Keys of sizes that some weight of the model has."""
_DEPTHS = frozenset({"num_hidden_layers", "n_layer", "num_layers", "n_layers"})
"""Keys that count layers, of which each has a weight at least."""
_RANKS = frozenset({"r", "init_r", "target_r", "num_virtual_tokens"})
_DEEPEST = 32


def refuse_code(settings: Mapping[str, Any], file: str) -> None:
    """Raises RequestError for settings that ask for code which is not installed here; `file` is where they stand."""
    for key, value in _all_keys(settings, file):
        foreign = _IMPLEMENTATION.fullmatch(key) and not re.fullmatch(r"[\w\s{}:',]*", str(value or ""), re.ASCII)
        if foreign or (key in _CODE and value) or (key in _ADAPTER_CODE and value):
            raise RequestError(
                f"the model asks for code of its own ({key}: {_short(value)}), and Furrow runs no code of models",
                where=file,
                remedy=_without(key, PurePath(file)),
            )


def _without(key: str, file: PurePath) -> str:
    """What to do about a model that brings code although transformers has its architecture by now."""
    cached = next((part.split("--", 1)[1] for part in file.parts if part.startswith("models--")), None)
    if cached is None:
        copy = f"cp -rL {shlex.quote(str(file.parent))} COPY"
    else:
        copy = f"hf download {shlex.quote(cached.replace('--', '/'))} --local-dir COPY"
    return (
        "choose a model whose architecture transformers itself has. Many that bring code have one, and their code is "
        f"older than that: `{copy}`, take {key} out of the JSON files in COPY, and say base_model: {{path: COPY}}"
    )


def refuse_model(config: Mapping[str, Any], file: str, shapes: Mapping[str, tuple[int, ...]] | None) -> None:
    """Raises RequestError for a config.json with sizes that no model has, or that these weights do not have.
    `shapes`: of all weights; None where there are none."""
    _refuse_sizes(config, file)
    if shapes:
        widest, most = max((max(shape, default=0) for shape in shapes.values()), default=0), len(shapes)
        for key, value in _all_keys(config, file):
            limit = widest if key in _WIDTHS else most if key in _DEPTHS else math.inf
            if type(value) is int and value > limit:
                raise RequestError(
                    f"{key} is {value:,}, and the weights beside it have no such size ({limit:,} is the largest)",
                    where=file,
                    remedy="download or copy the whole folder again",
                )


def refuse_weights(config: Mapping[str, Any], file: str) -> None:
    """Raises RequestError for weights that are kept quantised by anything but bitsandbytes, and for a config.json that
    says itself which file they are in: transformers opens that one, a pickle too, instead of model.safetensors."""
    for key, value in _all_keys(config, file):
        if key == "transformers_weights" and value is not None:
            raise RequestError(
                f"it names another file of weights ({_short(value)}); model.safetensors is read, and no other",
                where=file,
                remedy=f"take the key {key} out of it, and call the file model.safetensors if it is one",
            )
        if key == "quantization_config" and value is not None:
            kind = value.get("quant_method", "bitsandbytes") if isinstance(value, Mapping) else value
            if kind != "bitsandbytes":
                raise RequestError(
                    f"the weights are kept quantised by {_short(kind)}, and are trained and exported as plain numbers",
                    where=file,
                    remedy="start from the weights before quantisation (most are published as bfloat16 too); "
                    "method.type qlora quantises them as it loads them",
                )


def refuse_adapter(config: Mapping[str, Any], file: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises RequestError for an adapter_config.json whose adapter is more than weights, or other than these."""
    kind = config.get("peft_type")
    if kind not in _KINDS:
        raise RequestError(
            f"an adapter of the kind {_short(kind)} is not read",
            where=file,
            remedy=f"kinds that are read: {', '.join(name.lower() for name in _KINDS)}",
        )
    parent = (config.get("auto_mapping") or {}).get("parent_library", "transformers")
    if not str(parent).startswith("transformers"):
        raise RequestError(f"the adapter asks for the module {_short(parent)}", where=file, remedy="train it again")
    _refuse_sizes(config, file)
    if config.get("layer_replication"):
        raise RequestError("layer_replication makes layers anew", where=file, remedy="merge it where it was made")
    widest = max((max(shape, default=0) for shape in shapes.values()), default=0)
    ranks = [value for key, value in config.items() if key in _RANKS]
    for value in [*ranks, *_values(config.get("rank_pattern"))]:
        if type(value) is int and value > widest:
            raise RequestError(
                f"a rank of {value:,}, and the largest size of the adapter's weights is {widest:,}",
                where=file,
                remedy="download or copy the whole folder again",
            )
    patterns = _patterns(config)
    if takes_for_ever(*patterns):
        worst = next((pattern for pattern in patterns if takes_for_ever(pattern)), "(all of them together)")
        raise RequestError(
            f"the pattern {_short(worst)} can take for ever to match",
            where=file,
            remedy="list the modules' names",
        )


def _refuse_sizes(config: Mapping[str, Any], file: str) -> None:
    for key, value in _all_keys(config, file):
        limit = (
            _MOST_LAYERS
            if key.endswith("layers") or key in _DEPTHS
            else _MOST_CLASSES
            if key == "num_labels"
            else _LARGEST
        )
        if type(value) is int and not _NO_SIZE.search(key) and abs(value) > limit:
            raise RequestError(
                f"{key} is {value:,}, which no model has", where=file, remedy="download or copy the whole folder again"
            )


def _patterns(config: Mapping[str, Any]) -> list[str]:
    """Texts of adapter_config.json that PEFT matches with `re`."""
    found = [config.get(key) for key in ("target_modules", "exclude_modules", "feedforward_modules")]
    for key, value in config.items():
        if key in ("layers_pattern", "modules_to_save") or key.endswith("_pattern"):
            found += list(value) if isinstance(value, Mapping | list) else [value]
    return [text for text in found if isinstance(text, str)]


def _values(pattern: Any) -> list[Any]:
    return list(pattern.values()) if isinstance(pattern, Mapping) else []


def _all_keys(settings: Any, file: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep; a list's values stand under the list's key."""
    if depth > _DEEPEST:
        raise RequestError(
            f"the settings are nested more than {_DEEPEST} deep", where=file, remedy="copy the file again"
        )
    if isinstance(settings, Mapping):
        for key, value in settings.items():
            yield str(key), value
            yield from _all_keys(value, file, depth + 1)
    elif isinstance(settings, list):
        for value in settings:
            if isinstance(value, Mapping | list):
                yield from _all_keys(value, file, depth + 1)


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")
