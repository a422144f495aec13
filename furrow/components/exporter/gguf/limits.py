"""What a config may say that llama.cpp's graph of the family does not compute: each a sentence, or None."""

from __future__ import annotations

from typing import Any

from furrow.components.exporter.gguf.rope import head_dim, parameters


def none(config: Any) -> str | None:
    return None


def no_rope_every_fourth(config: Any) -> str | None:
    expected = [int((layer + 1) % 4 != 0) for layer in range(config.num_hidden_layers)]
    if list(config.no_rope_layers) != expected:
        return (
            f"llama.cpp leaves rotary embeddings out in every fourth layer; no_rope_layers is {config.no_rope_layers}"
        )
    return None


def phi(config: Any) -> str | None:
    if config.qk_layernorm:
        return "llama.cpp's Phi-2 graph has no norm on queries and keys; qk_layernorm is true"
    return None


def gemma2(config: Any) -> str | None:
    if config.attn_logit_softcapping is None or config.final_logit_softcapping is None:
        return "llama.cpp always caps the logits of Gemma 2; attn_ and final_logit_softcapping are wanted"
    return _windows(config, every=2) or _scale(config, layers_of_27b=46)


def gemma3(config: Any) -> str | None:
    if config.attn_logit_softcapping is not None or config.final_logit_softcapping is not None:
        return "llama.cpp does not cap the logits of Gemma 3; the softcapping settings must be null"
    if getattr(config, "use_bidirectional_attention", False):
        return "llama.cpp's Gemma 3 attends causally; use_bidirectional_attention is true"
    if parameters(config, "sliding_attention").get("rope_type", "default") != "default":
        return "llama.cpp does not scale the rotary embeddings of Gemma 3's sliding layers"
    return _windows(config, every=6) or _scale(config, layers_of_27b=62)


def _windows(config: Any, every: int) -> str | None:
    """llama.cpp knows only how often a layer attends to everything: each `every`th, the others through the window."""
    expected = [
        "sliding_attention" if (layer + 1) % every else "full_attention" for layer in range(config.num_hidden_layers)
    ]
    if list(config.layer_types) != expected:
        return f"llama.cpp expects full attention in every layer number {every}; layer_types is {config.layer_types}"
    return None


def _scale(config: Any, layers_of_27b: int) -> str | None:
    """llama.cpp derives the scale of attention; it tells the 27B model by its number of layers."""
    by_width = config.num_hidden_layers == layers_of_27b
    derived = config.hidden_size // config.num_attention_heads if by_width else head_dim(config)
    if config.query_pre_attn_scalar != derived:
        return f"llama.cpp scales attention by {derived}; query_pre_attn_scalar is {config.query_pre_attn_scalar}"
    return None


def falcon(config: Any) -> str | None:
    if config.alibi:
        return "llama.cpp's Falcon uses rotary embeddings; alibi is true"
    if not config.parallel_attn:
        return "llama.cpp's Falcon computes attention and feed-forward in parallel; parallel_attn is false"
    if config.bias:
        return "llama.cpp's Falcon has no biases in its projections; bias is true"
    return None
