"""Where llama.cpp wants the rows of a projection in another order than transformers keeps them.

An order is an index vector: `new = old[order]`. The same one serves the weight, its bias and the B matrix of a LoRA,
for all three have the projection's outputs as rows.
"""

from __future__ import annotations

from typing import Any

import torch

from furrow.components.exporter.gguf.rope import head_dim


def query_pairs(config: Any) -> torch.Tensor:
    return rotary_pairs(config.num_attention_heads, head_dim(config))


def key_pairs(config: Any) -> torch.Tensor:
    return rotary_pairs(config.num_key_value_heads, head_dim(config))


def rotary_pairs(heads: int, dims: int) -> torch.Tensor:
    """Rows of each head from (all first halves, all second halves) to pairs that are rotated together.

    transformers rotates dimension i with i + dims/2, llama.cpp's llama graph 2i with 2i + 1 (its `permute`, MIT).
    """
    return torch.arange(heads * dims).reshape(heads, 2, dims // 2).transpose(1, 2).reshape(-1)


def falcon_query_key_value(config: Any) -> torch.Tensor:
    """Fused rows from one block (queries, key, value) per key head to all queries, then all keys, then all values."""
    dims, groups = head_dim(config), falcon_key_heads(config)
    queries = config.num_attention_heads // groups
    blocks = torch.arange(groups * (queries + 2) * dims).reshape(groups, queries + 2, dims)
    return torch.cat([blocks[:, :queries].reshape(-1), blocks[:, -2].reshape(-1), blocks[:, -1].reshape(-1)])


def falcon_key_heads(config: Any) -> int:
    """Falcon spells its number of key heads in three ways."""
    if config.new_decoder_architecture:
        return int(config.num_kv_heads)
    return 1 if config.multi_query else int(config.num_attention_heads)
