"""The hyper-parameters of a model as GGUF keys: those every family has, and what single families add."""

from __future__ import annotations

from typing import Any

import gguf

from furrow.components.exporter.gguf.rope import head_dim, parameters
from furrow.components.exporter.gguf.row_order import falcon_key_heads


def write_shape(writer: gguf.GGUFWriter, config: Any, context: int) -> None:
    """Sizes that every graph needs; `context` in tokens."""
    writer.add_context_length(context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    writer.add_vocab_size(config.vocab_size)


def context_length(config: Any, windowed: bool) -> int:
    """Tokens up to which llama.cpp computes what transformers computes.

    A graph of llama.cpp that knows no sliding window (`windowed` false) attends to everything: equal up to the window.
    """
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if windowed or not window or (kinds is not None and "sliding_attention" not in kinds):
        return int(config.max_position_embeddings)
    return int(min(window, config.max_position_embeddings))


def rms(writer: gguf.GGUFWriter, config: Any) -> None:
    """Root-mean-square norms, grouped key heads, gated feed-forward: the shape of most families."""
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))


def gemma2(writer: gguf.GGUFWriter, config: Any) -> None:
    rms(writer, config)
    writer.add_sliding_window(config.sliding_window)
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)


def gemma3(writer: gguf.GGUFWriter, config: Any) -> None:
    rms(writer, config)
    writer.add_sliding_window(config.sliding_window)
    writer.add_rope_freq_base_swa(float(parameters(config, "sliding_attention")["rope_theta"]))


def phi(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)


def falcon(writer: gguf.GGUFWriter, config: Any) -> None:
    writer.add_layer_norm_eps(config.layer_norm_epsilon)
    writer.add_feed_forward_length(config.ffn_hidden_size)
    writer.add_head_count_kv(falcon_key_heads(config))
    writer.add_tensor_data_layout("jploski")  # the name llama.cpp gave to queries, keys, values in this order
