"""What a config says and llama.cpp does not compute is refused with a sentence, before a byte is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
import transformers

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf.families import family_of
from furrow.components.exporter.gguf.rope import write_rope
from furrow.components.exporter.gguf.row_order import falcon_query_key_value, rotary_pairs

YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 32}

REFUSED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "gelu llama": (lambda: transformers.LlamaConfig(hidden_act="gelu"), "computes silu in LlamaForCausalLM"),
    "gemma2 scale": (lambda: transformers.Gemma2Config(query_pre_attn_scalar=144), "scales attention by 256"),
    "gemma2 uncapped": (lambda: transformers.Gemma2Config(attn_logit_softcapping=None), "always caps the logits"),
    "gemma3 capped": (lambda: transformers.Gemma3TextConfig(final_logit_softcapping=30.0), "does not cap the logits"),
    "gemma3 layers": (
        lambda: transformers.Gemma3TextConfig(num_hidden_layers=2, layer_types=["full_attention"] * 2),
        "full attention in every layer number 6",
    ),
    "smollm3 layers": (lambda: transformers.SmolLM3Config(no_rope_layers=[1] * 36), "in every fourth layer"),
    "phi norms": (lambda: transformers.PhiConfig(qk_layernorm=True), "no norm on queries and keys"),
    "falcon alibi": (lambda: transformers.FalconConfig(alibi=True), "alibi is true"),
    "falcon serial": (lambda: transformers.FalconConfig(parallel_attn=False), "parallel_attn is false"),
    "falcon biased": (lambda: transformers.FalconConfig(bias=True), "bias is true"),
    "a classifier": (
        lambda: transformers.LlamaConfig(architectures=["LlamaForSequenceClassification"]),
        "LlamaForSequenceClassification cannot be written",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_graph_does_not_compute_is_refused(name: str) -> None:
    make, sentence = REFUSED[name]
    config = make()
    if not config.architectures:
        config.architectures = [transformers.AutoModelForCausalLM._model_mapping[type(config)].__name__]
    with pytest.raises(FurrowError, match=sentence):
        family_of(config)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (transformers.Qwen2Config(rope_parameters={**YARN, "rope_type": "dynamic"}), "'dynamic'"),
        (transformers.LlamaConfig(rope_parameters={**YARN, "truncate": False}), "truncate: false"),
    ],
)
def test_rotary_scaling_that_llama_cpp_lacks_is_refused(config: Any, sentence: str, tmp_path: Path) -> None:
    config.architectures = [type(config).__name__.replace("Config", "ForCausalLM")]
    writer = gguf.GGUFWriter(tmp_path / "no.gguf", "llama")
    with pytest.raises(FurrowError, match=sentence):
        write_rope(writer, config, family_of(config).rope)


def test_rotary_pairs_interleave_the_halves_of_each_head() -> None:
    assert rotary_pairs(heads=2, dims=4).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_falcon_rows_become_queries_then_keys_then_values() -> None:
    config = transformers.FalconConfig(
        hidden_size=8, num_attention_heads=4, num_kv_heads=2, new_decoder_architecture=True
    )
    # each block: two queries, a key, a value, of two rows each
    assert falcon_query_key_value(config).tolist() == [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15]
    assert torch.equal(
        falcon_query_key_value(transformers.FalconConfig(hidden_size=8, num_attention_heads=4)), torch.arange(12)
    )
