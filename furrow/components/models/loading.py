"""Loads what a model folder holds: whole weights, or an adapter on the base it was trained on, quantised or not."""

from __future__ import annotations

import contextlib
import importlib.util
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import transformers
from peft import PeftModel
from transformers.modeling_layers import GenericForSequenceClassification

from furrow.components.errors import FurrowError
from furrow.components.models.folder import ModelFolder
from furrow.components.models.inspection import inspect_adapter, inspect_model
from furrow.components.models.pretrained import refusing_nonsense
from furrow.components.models.snapshot import local

NEEDED = "bitsandbytes"
"""What holds weights in 4 and 8 bits; an extra."""


def load_weights(
    source: str,
    *,
    dtype: torch.dtype | str,
    quantization: Mapping[str, Any] | None = None,
    device: torch.device | None = None,
    labels: Sequence[str] | None = None,
    **more: Any,
) -> Any:
    """A model of transformers. `source` is a folder or a hub id; `labels` makes it a classifier of these classes.

    `quantization` is what a `ModelFolder` has under that name. Quantised weights must be put on their `device` here.
    Raises FurrowError for a model that is not to be trusted, and where bitsandbytes is wanted and not installed;
    Unreadable for one that is not whole or not there.
    """
    if quantization is not None:
        dtype, more = getattr(torch, quantization["dtype"]), {**more, **_quantized(quantization, device)}
    if labels is not None:
        more = {**more, "num_labels": len(labels), **_names_of(labels)}
    kind: Any = transformers.AutoModelForCausalLM if labels is None else transformers.AutoModelForSequenceClassification
    with _quiet_about_heads(), refusing_nonsense(f"the model {source}"):
        folder = local(source, weights=True)
        inspect_model(folder)
        model, found = kind.from_pretrained(
            folder, dtype=dtype, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **more
        )
    model.name_or_path = model.config.name_or_path = source
    if missing := sorted(found["missing_keys"]):  # transformers draws fresh ones, and says so in a table on the screen
        raise FurrowError(
            f"the weights of {source} lack {len(missing)} that its architecture has: {', '.join(missing[:3])}, …",
            remedy="download or copy the whole folder again; config.json may be that of another model",
        )
    if quantization is not None:
        model.furrow_quantization = dict(quantization)
        _keep_exact(model)
    return model


@contextlib.contextmanager
def _quiet_about_heads() -> Iterator[None]:
    """A language model that becomes a classifier loses its head and gets a fresh one: that is no reason to warn."""
    kind: Any = GenericForSequenceClassification
    kind._keys_to_ignore_on_load_missing = [r"^score\."]
    kind._keys_to_ignore_on_load_unexpected = [r"^lm_head\."]
    try:
        yield
    finally:
        del kind._keys_to_ignore_on_load_missing, kind._keys_to_ignore_on_load_unexpected


def _keep_exact(model: Any) -> None:
    """On CPUs with AVX512-BF16, bitsandbytes repacks 4-bit weights at the first evaluation and from then on multiplies
    in bfloat16: logits move by 2e-3, and training after an evaluation gets no gradient through them (0.50)."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def quantization_of(model: Any) -> dict[str, Any] | None:
    """How `load_weights` quantised the base of this model; None where it did not."""
    found: dict[str, Any] | None = getattr(model, "furrow_quantization", None)
    return found


def load_model(
    folder: ModelFolder,
    *,
    dtype: torch.dtype | str,
    device: torch.device | None = None,
    in_full: bool = False,
    **more: Any,
) -> Any:
    """The model as it answers, ready for that: whole weights, or base with adapter (a PeftModel); a classifier where
    the folder has `labels`.

    A base that was quantised in training is quantised again. `in_full` writes its quantised weights out as `dtype`, so
    that an adapter can be merged into the very numbers it was trained on.
    """
    model = _load(folder, dtype, device, in_full, {**more, "labels": folder.labels})
    return (model if device is None else model.to(device)).eval()


def _load(
    folder: ModelFolder, dtype: torch.dtype | str, device: torch.device | None, in_full: bool, more: dict[str, Any]
) -> Any:
    if folder.kind == "weights":
        return load_weights(str(folder.path), dtype=dtype, **more)
    base = load_weights(str(folder.base), dtype=dtype, quantization=folder.quantization, device=device, **more)
    if folder.quantization is not None and in_full:
        base = base.dequantize().to(dtype)
        base.is_loaded_in_4bit = base.is_loaded_in_8bit = base.is_quantized = False  # PEFT goes by these
    inspect_adapter(folder.path)
    with warnings.catch_warnings(), refusing_nonsense(f"the adapter {folder.path}"):
        # AdaLoRA's pattern of ranks is by weight, and PEFT looks for layers of that name
        warnings.filterwarnings("ignore", message="The following rank_pattern keys", category=RuntimeWarning)
        return PeftModel.from_pretrained(base, str(folder.path))


def _quantized(quantization: Mapping[str, Any], device: torch.device | None) -> dict[str, Any]:
    if importlib.util.find_spec(NEEDED) is None:
        raise FurrowError(
            f"the base model is to be quantised, and {NEEDED} is not installed",
            where="method.quantization",
            remedy="pip install 'furrow[quantization]'",
        )
    settings = {name: value for name, value in quantization.items() if name != "dtype"}
    if settings.get("load_in_4bit"):
        settings.setdefault("bnb_4bit_compute_dtype", quantization["dtype"])
    config = transformers.BitsAndBytesConfig(**settings)
    return {"quantization_config": config, "device_map": {"": str(device or "cpu")}}


def _names_of(labels: Sequence[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}
