"""Rotary position embeddings: what `rope_parameters` says, in the keys and tensors of GGUF."""

from __future__ import annotations

import math
from typing import Any

import gguf
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from furrow.components.errors import FurrowError


def parameters(config: Any, layers: str = "full_attention") -> dict[str, Any]:
    """`rope_parameters` of the config; where it holds one set per kind of layer, that of `layers`."""
    stored = config.rope_parameters
    return dict(stored.get(layers, stored))


def head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def rotated_dims(config: Any) -> int:
    """How many dimensions of a head are rotated: all of them, or the first `partial_rotary_factor`."""
    return int(head_dim(config) * parameters(config).get("partial_rotary_factor", 1.0))


def write_rope(writer: gguf.GGUFWriter, config: Any, supported: frozenset[str]) -> dict[str, torch.Tensor]:
    """Write the keys, and return the tensors that the file must carry beside the model's own.

    Raises FurrowError for a kind of scaling that llama.cpp does not apply to this family.
    """
    rope = parameters(config)
    kind = rope.get("rope_type", "default")
    if kind not in supported:
        raise FurrowError(
            f"llama.cpp does not scale the rotary embeddings of this family by {kind!r}, only by {sorted(supported)}"
        )
    writer.add_rope_dimension_count(rotated_dims(config))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    return {"linear": _linear, "yarn": _yarn, "llama3": _llama3, "longrope": _longrope}.get(kind, _plain)(
        writer, config, rope
    )


def _plain(writer: gguf.GGUFWriter, config: Any, rope: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {}


def _linear(writer: gguf.GGUFWriter, config: Any, rope: dict[str, Any]) -> dict[str, torch.Tensor]:
    writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(float(rope["factor"]))
    return {}


def _yarn(writer: gguf.GGUFWriter, config: Any, rope: dict[str, Any]) -> dict[str, torch.Tensor]:
    if not rope.get("truncate", True):
        raise FurrowError("llama.cpp always truncates the correction range of yarn; this model says truncate: false")
    _, attention_factor = ROPE_INIT_FUNCTIONS["yarn"](config)
    factor = float(rope["factor"])
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(factor)
    writer.add_rope_scaling_orig_ctx_len(int(rope["original_max_position_embeddings"]))
    writer.add_rope_scaling_yarn_beta_fast(float(rope.get("beta_fast") or 32.0))
    writer.add_rope_scaling_yarn_beta_slow(float(rope.get("beta_slow") or 1.0))
    # llama.cpp multiplies by 1 + 0.1 ln(factor) itself; the key holds what is left over
    writer.add_rope_scaling_attn_factors(attention_factor / (1.0 + 0.1 * math.log(factor)))
    return {}


def _llama3(writer: gguf.GGUFWriter, config: Any, rope: dict[str, Any]) -> dict[str, torch.Tensor]:
    """llama.cpp divides each frequency by a factor of its own: one over what transformers multiplies it by."""
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config)
    return {"rope_freqs.weight": _frequencies(config, rope) / scaled.float()}


def _longrope(writer: gguf.GGUFWriter, config: Any, rope: dict[str, Any]) -> dict[str, torch.Tensor]:
    """transformers takes the long factors for texts beyond the original context, llama.cpp for a context beyond it."""
    original = int(rope["original_max_position_embeddings"])
    _, attention_factor = ROPE_INIT_FUNCTIONS["longrope"](config)
    writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_rope_scaling_attn_factors(float(attention_factor))
    return {
        "rope_factors_long.weight": torch.tensor(rope["long_factor"], dtype=torch.float32),
        "rope_factors_short.weight": torch.tensor(rope["short_factor"], dtype=torch.float32),
    }


def _frequencies(config: Any, rope: dict[str, Any]) -> torch.Tensor:
    """Unscaled frequencies, float32 [rotated dims / 2]: theta^(-2i/d)."""
    dims = rotated_dims(config)
    exponents = torch.arange(0, dims, 2, dtype=torch.float32) / dims
    return float(rope["rope_theta"]) ** -exponents
