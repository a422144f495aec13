"""The table: which architectures can be written as GGUF, and what is special about each.

A row says how llama.cpp names the graph, the keys it wants, the order of rows it wants them in, and what it cannot
compute. Whatever is not in the table is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gguf
import torch
from gguf import MODEL_ARCH, MODEL_TENSOR

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf import hyperparameters, limits
from furrow.components.exporter.gguf.row_order import falcon_query_key_value, key_pairs, query_pairs

RowOrder = Callable[[Any], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One architecture of transformers in llama.cpp's terms."""

    arch: MODEL_ARCH
    """The graph of llama.cpp; with it come the names of tensors that the graph loads."""
    keys: Callable[[gguf.GGUFWriter, Any], None] = hyperparameters.rms
    """Writes the hyper-parameters beyond those of every family."""
    activation: str = "silu"
    """The one activation that the graph computes, by transformers' name."""
    row_order: Mapping[MODEL_TENSOR, RowOrder] = field(default_factory=dict)
    """Projections whose rows change their order; see row_order.py."""
    one_plus_norms: bool = False
    """The weight of a norm is kept as w and applied as 1 + w; llama.cpp wants 1 + w in the file."""
    rope: frozenset[str] = frozenset({"default", "linear", "yarn"})
    """Kinds of rotary scaling that the graph applies."""
    windowed: bool = False
    """The graph knows the sliding window of this family."""
    tied_head: bool = True
    """The graph takes the embeddings where the file has no head; else a tied head is written out."""
    limit: Callable[[Any], str | None] = limits.none
    """What the config says that the graph does not compute, as a sentence."""


_PAIRS: Mapping[MODEL_TENSOR, RowOrder] = {MODEL_TENSOR.ATTN_Q: query_pairs, MODEL_TENSOR.ATTN_K: key_pairs}
_LLAMA = Family(arch=MODEL_ARCH.LLAMA, row_order=_PAIRS, rope=frozenset({"default", "linear", "yarn", "llama3"}))
_UNSCALED = frozenset({"default"})

FAMILIES: dict[str, Family] = {
    "LlamaForCausalLM": _LLAMA,
    "MistralForCausalLM": _LLAMA,
    "Qwen2ForCausalLM": Family(arch=MODEL_ARCH.QWEN2),
    "Qwen3ForCausalLM": Family(arch=MODEL_ARCH.QWEN3),
    "SmolLM3ForCausalLM": Family(arch=MODEL_ARCH.SMOLLM3, row_order=_PAIRS, limit=limits.no_rope_every_fourth),
    "GemmaForCausalLM": Family(
        arch=MODEL_ARCH.GEMMA, activation="gelu_pytorch_tanh", one_plus_norms=True, rope=_UNSCALED
    ),
    "Gemma2ForCausalLM": Family(
        arch=MODEL_ARCH.GEMMA2,
        keys=hyperparameters.gemma2,
        activation="gelu_pytorch_tanh",
        one_plus_norms=True,
        rope=_UNSCALED,
        windowed=True,
        limit=limits.gemma2,
    ),
    "Gemma3ForCausalLM": Family(
        arch=MODEL_ARCH.GEMMA3,
        keys=hyperparameters.gemma3,
        activation="gelu_pytorch_tanh",
        one_plus_norms=True,
        rope=frozenset({"default", "linear"}),
        windowed=True,
        limit=limits.gemma3,
    ),
    "PhiForCausalLM": Family(
        arch=MODEL_ARCH.PHI2, keys=hyperparameters.phi, activation="gelu_new", tied_head=False, limit=limits.phi
    ),
    "Phi3ForCausalLM": Family(arch=MODEL_ARCH.PHI3, rope=frozenset({"default", "longrope"})),
    "FalconForCausalLM": Family(
        arch=MODEL_ARCH.FALCON,
        keys=hyperparameters.falcon,
        activation="gelu",
        row_order={MODEL_TENSOR.ATTN_QKV: falcon_query_key_value},
        limit=limits.falcon,
    ),
    "Olmo2ForCausalLM": Family(arch=MODEL_ARCH.OLMO2, tied_head=False),
}


def architecture_of(config: Any) -> str:
    """The class that transformers would load, by name; FurrowError if the config does not say."""
    named = getattr(config, "architectures", None)
    if not named:
        raise FurrowError("config.json does not name its architecture", remedy="add `architectures` to config.json")
    return str(named[0])


def family_of(config: Any) -> Family:
    """The row of this config. Raises FurrowError, with a sentence, for whatever would be written wrongly."""
    name = architecture_of(config)
    if name not in FAMILIES:
        raise FurrowError(
            f"{name} cannot be written as GGUF: its layout is not known here",
            remedy=f"known are {', '.join(sorted(FAMILIES))}; for others set LLAMA_CPP_DIR to a checkout of llama.cpp",
        )
    family = FAMILIES[name]
    activation = next(
        str(getattr(config, key)) for key in ("hidden_activation", "hidden_act", "activation") if hasattr(config, key)
    )
    if activation != family.activation:
        raise FurrowError(f"llama.cpp computes {family.activation} in {name}, and this model uses {activation}")
    if complaint := family.limit(config):
        raise FurrowError(f"{name} cannot be written as GGUF: {complaint}")
    return family
