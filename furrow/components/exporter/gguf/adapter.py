"""A LoRA adapter as GGUF: for each projection the matrices A [rank, inputs] and B [outputs, rank]."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import torch
from peft import LoraConfig
from peft.tuners.lora.layer import LoraLayer

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf.families import family_of
from furrow.components.exporter.gguf.stream import Streamed, stream
from furrow.components.exporter.gguf.tensors import Names

_PREFIX, _REMEDY = "base_model.model.", "export the merged model instead (format gguf), or train a plain LoRA"
_NOT_PLAIN = ("lora_bias", "modules_to_save", "trainable_token_indices", "target_parameters", "layer_replication")


@dataclass(frozen=True)
class LoraPair:
    """What LoRA adds to one weight: scale * b @ a."""

    weight: str
    a: torch.Tensor
    b: torch.Tensor
    scale: float


def refuse_special(config: Any) -> None:
    """Raises FurrowError for what a GGUF adapter cannot hold: anything but A, B and a scale."""
    if type(config) is not LoraConfig:  # AdaLoRA's is a subclass, and holds singular values besides
        kind = config.peft_type.value.lower()
        raise FurrowError(f"an adapter of type {kind} cannot be a GGUF adapter", remedy=_REMEDY)
    variants = [field.name for field in dataclasses.fields(config) if field.metadata.get("is_lora_variant")]
    used = [name for name in (*_NOT_PLAIN, *variants) if getattr(config, name, None)]
    if config.bias != "none":
        used.append("bias")
    if used:
        raise FurrowError(f"a GGUF adapter holds LoRA matrices only; this one has {', '.join(used)}", remedy=_REMEDY)


def read_pairs(model: Any) -> list[LoraPair]:
    """The pairs of a PeftModel, each with the scale that PEFT applies (rsLoRA and patterns included)."""
    pairs = []
    [adapter] = model.active_adapters
    for name, module in model.named_modules():
        if not isinstance(module, LoraLayer) or adapter not in module.scaling:
            continue
        weight = name.removeprefix(_PREFIX) + ".weight"
        if adapter not in module.lora_A or not isinstance(module.get_base_layer(), torch.nn.Linear):
            raise FurrowError(f"the LoRA on {weight} is not one of a linear layer", remedy=_REMEDY)
        a, b = module.lora_A[adapter].weight.detach(), module.lora_B[adapter].weight.detach()
        pairs.append(LoraPair(weight, a, b, float(module.scaling[adapter])))
    if not pairs:
        raise FurrowError("the adapter changes no linear layer")
    return pairs


def write_adapter(pairs: Sequence[LoraPair], config: Any, alpha: float, into: Path, *, dtype: str, name: str) -> None:
    """`config` is that of the base model. B carries whatever PEFT's scale has beyond llama.cpp's alpha / rank.

    Raises FurrowError if the base's family is not known or its graph lacks one of the weights.
    """
    family = family_of(config)
    names = Names(config, family)
    tied = bool(config.tie_word_embeddings) and family.tied_head
    matrices: dict[str, torch.Tensor] = {}
    for pair in pairs:
        kind, target = names.of(pair.weight)
        if tied and target == "output.weight":
            raise FurrowError("the adapter changes a head that is tied to the embeddings", remedy=_REMEDY)
        b = pair.b.float() * (pair.scale / (alpha / pair.b.shape[1]))
        order = family.row_order.get(kind)
        matrices[f"{target}.lora_a"] = pair.a
        matrices[f"{target}.lora_b"] = b if order is None else b[order(config)]
    writer = gguf.GGUFWriter(into, gguf.MODEL_ARCH_NAMES[family.arch])
    try:
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
        writer.add_name(name)
        tensors = [Streamed(target, tuple(values.shape), values.float) for target, values in matrices.items()]
        stream(writer, tensors, dtype)
    finally:
        writer.close()
