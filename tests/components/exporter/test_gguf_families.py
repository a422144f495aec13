"""Every family of the table, as float32 GGUF, answers in llama.cpp as in transformers; written wrongly, it is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from gguf import MODEL_TENSOR

from furrow.components.errors import FurrowError
from furrow.components.events import ExportVerified
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.gguf import families
from furrow.components.exporter.gguf.component import GgufConfig
from furrow.components.exporter.gguf.export import GgufExporter
from furrow.components.exporter.gguf.families import FAMILIES, Family
from furrow.components.exporter.gguf.row_order import rotary_pairs
from furrow.components.models.folder import ModelFolder

SIZE = {
    "vocab_size": 640,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
GROUPED = {**SIZE, "intermediate_size": 96, "num_key_value_heads": 2}
GEMMA = {**GROUPED, "head_dim": 16, "query_pre_attn_scalar": 16, "sliding_window": 8}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 32}
LONG = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4],
    "long_factor": [2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0],
    "original_max_position_embeddings": 300,
}


def _llama(**settings: Any) -> Any:
    return transformers.LlamaConfig(**{**GROUPED, "tie_word_embeddings": False, **settings})


def _falcon(**settings: Any) -> Any:
    return transformers.FalconConfig(**{**SIZE, "tie_word_embeddings": False, **settings})


CONFIGS: Mapping[str, Callable[[], Any]] = {
    "llama": _llama,
    "llama, tied": lambda: _llama(tie_word_embeddings=True),
    "llama, biased": lambda: _llama(attention_bias=True, mlp_bias=True),
    "llama, wide heads": lambda: _llama(head_dim=32),
    "llama, llama3 rope": lambda: _llama(rope_parameters=LLAMA3),
    "llama, linear rope": lambda: _llama(rope_parameters={"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}),
    "llama, yarn rope": lambda: _llama(rope_parameters=YARN),
    "llama, yarn rope with its own attention": lambda: _llama(rope_parameters={**YARN, "attention_factor": 0.8}),
    "mistral": lambda: transformers.MistralConfig(**GROUPED, sliding_window=None),
    "qwen2": lambda: transformers.Qwen2Config(**GROUPED),
    "qwen3": lambda: transformers.Qwen3Config(**GROUPED, head_dim=16),
    "smollm3": lambda: transformers.SmolLM3Config(**{**GROUPED, "num_hidden_layers": 4}, pad_token_id=None),
    "gemma": lambda: transformers.GemmaConfig(**GROUPED, head_dim=32),
    "gemma2": lambda: transformers.Gemma2Config(**GEMMA),
    "gemma3": lambda: transformers.Gemma3TextConfig(**{**GEMMA, "num_hidden_layers": 6}),
    "phi": lambda: transformers.PhiConfig(**SIZE, intermediate_size=96),
    "phi3": lambda: transformers.Phi3Config(**GROUPED, pad_token_id=None),
    "phi3, long rope": lambda: transformers.Phi3Config(
        **{**GROUPED, "max_position_embeddings": 512},
        pad_token_id=None,
        rope_parameters=LONG,
        original_max_position_embeddings=300,
    ),
    "falcon": _falcon,
    "falcon, new": lambda: _falcon(new_decoder_architecture=True, num_kv_heads=2),
    "falcon, one norm": lambda: _falcon(new_decoder_architecture=True, num_kv_heads=2, num_ln_in_parallel_attn=1),
    "falcon, all heads": lambda: _falcon(multi_query=False),
    "olmo2": lambda: transformers.Olmo2Config(**GROUPED),
    "olmo2, tied": lambda: transformers.Olmo2Config(**GROUPED, tie_word_embeddings=True),
}
WITH_GELU = {"gemma", "gemma2", "gemma3", "phi", "falcon"}
"""llama.cpp looks GELU up in a table of float16."""
BY_CHARACTERS = {"mistral", "gemma", "gemma2", "gemma3", "phi3", "llama, tied"}


@pytest.fixture
def export(
    make_model: Callable[..., Path],
    byte_tokenizer: Any,
    character_tokenizer: Any,
    request_for: Callable[..., ExportRequest],
    events: list[Any],
) -> Callable[..., ExportVerified]:
    """Exports the named model as f32; the measured agreement."""

    def run(name: str, **changes: Any) -> ExportVerified:
        folder = make_model(CONFIGS[name](), character_tokenizer if name in BY_CHARACTERS else byte_tokenizer)
        request = request_for(ModelFolder(folder, "weights"), **changes)
        GgufExporter(GgufConfig(quantization="f32")).export(request, events.append)
        [verified] = [event for event in events if isinstance(event, ExportVerified)]
        return verified

    return run


def test_the_cases_cover_every_row_of_the_table() -> None:
    covered = {transformers.AutoModelForCausalLM._model_mapping[type(make())].__name__ for make in CONFIGS.values()}
    assert covered == set(FAMILIES)


@pytest.mark.parametrize("name", CONFIGS)
def test_llama_cpp_answers_as_transformers(name: str, export: Callable[..., ExportVerified]) -> None:
    verified = export(name)
    by_table = name.split(",")[0] in WITH_GELU
    assert verified.top1_agreement >= (0.95 if by_table else 1.0)
    assert verified.positions > 40
    assert verified.max_abs < (1e-2 if by_table else 2e-4)


def test_the_long_factors_act_on_a_text_longer_than_the_original_context(
    export: Callable[..., ExportVerified],
) -> None:
    verified = export("phi3, long rope", probe_prompts=("sow leeks in rich soil; " * 60,))
    assert verified.positions > 300
    assert verified.max_abs < 2e-4


def _without(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: dataclasses.replace(family, **changes)


def _needless_pairs(family: Family) -> Family:
    return dataclasses.replace(family, row_order={MODEL_TENSOR.ATTN_Q: lambda config: rotary_pairs(4, 16)})


def _swapped_gate(family: Family) -> Family:
    """Phi-3 keeps gate and up in one matrix; the graph takes the gate from the first half."""
    return dataclasses.replace(family, row_order={MODEL_TENSOR.FFN_UP: lambda config: torch.arange(192).roll(96)})


MISTAKES: Mapping[str, tuple[str, Callable[[Family], Family]]] = {
    "LlamaForCausalLM": ("llama", _without(row_order={})),
    "MistralForCausalLM": ("mistral", _without(row_order={})),
    "SmolLM3ForCausalLM": ("smollm3", _without(row_order={})),
    "FalconForCausalLM": ("falcon, new", _without(row_order={})),
    "GemmaForCausalLM": ("gemma", _without(one_plus_norms=False)),
    "Gemma2ForCausalLM": ("gemma2", _without(one_plus_norms=False)),
    "Gemma3ForCausalLM": ("gemma3", _without(one_plus_norms=False)),
    "Qwen2ForCausalLM": ("qwen2", _needless_pairs),
    "Qwen3ForCausalLM": ("qwen3", _needless_pairs),
    "Olmo2ForCausalLM": ("olmo2", _needless_pairs),
    "PhiForCausalLM": ("phi", _needless_pairs),
    "Phi3ForCausalLM": ("phi3", _swapped_gate),
}


@pytest.mark.parametrize("architecture", FAMILIES)
def test_the_gate_refuses_a_family_written_wrongly_and_publishes_nothing(
    architecture: str,
    export: Callable[..., ExportVerified],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    case, mistake = MISTAKES[architecture]
    monkeypatch.setitem(families.FAMILIES, architecture, mistake(FAMILIES[architecture]))
    with pytest.raises(FurrowError, match="disagrees with the model"):
        export(case)
    assert not (tmp_path / "out").exists()
