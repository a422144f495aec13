"""The exporter `merged`: what it publishes is one model that answers as base and adapter do together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from furrow.components.errors import FurrowError
from furrow.components.events import Exported, ExportVerified
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.merged.component import MergedConfig
from furrow.components.exporter.merged.export import MergedExporter
from furrow.components.exporter.merged.folder import merged_folder
from furrow.components.models.folder import recognise


@pytest.fixture
def adapter(small_llama: Path, tmp_path: Path) -> Path:
    base = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "auto"])
def test_the_folder_answers_as_base_and_adapter_together(
    dtype: Any,
    adapter: Path,
    small_llama: Path,
    request_for: Callable[..., ExportRequest],
    events: list[Any],
    tmp_path: Path,
) -> None:
    request = request_for(recognise(adapter), destination=tmp_path / "merged")
    published = MergedExporter(MergedConfig(dtype=dtype)).export(request, events.append)
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.top1_agreement >= 0.9

    ids = torch.tensor([[5, 9, 300, 41, 7]])
    base = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
    merged = transformers.AutoModelForCausalLM.from_pretrained(published, dtype=torch.float32)
    with torch.inference_mode():
        expected, got = PeftModel.from_pretrained(base, adapter)(ids).logits, merged(ids).logits
    tolerance = 1e-4 if dtype in ("float32", "auto") else 0.2
    assert torch.allclose(expected, got, atol=tolerance)


def test_the_tokenizer_beside_it_carries_the_template_of_the_strategy(
    adapter: Path, request_for: Callable[..., ExportRequest], events: list[Any], tmp_path: Path
) -> None:
    request = request_for(recognise(adapter), destination=tmp_path / "merged")
    published = MergedExporter(MergedConfig()).export(request, events.append)
    tokenizer = transformers.AutoTokenizer.from_pretrained(published)
    messages = [{"role": "user", "content": "When do I sow leeks?"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == request.template.prompt(messages)
    [exported] = [event for event in events if isinstance(event, Exported)]
    assert exported.bytes == sum(file.stat().st_size for file in published.iterdir())


def test_a_merge_that_disagrees_is_not_published(
    adapter: Path, request_for: Callable[..., ExportRequest], events: list[Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(PeftModel, "merge_and_unload", lambda self: self.unload(), raising=False)
    with pytest.raises(FurrowError, match="disagree with the model"):
        request = request_for(recognise(adapter), destination=tmp_path / "merged")
        MergedExporter(MergedConfig()).export(request, events.append)
    assert not (tmp_path / "merged").exists()


def test_whole_weights_are_lent_as_they_are_and_an_adapter_is_merged_beside(
    small_llama: Path, adapter: Path, tmp_path: Path
) -> None:
    with merged_folder(recognise(small_llama), tmp_path / "work") as folder:
        assert folder == small_llama
    with merged_folder(recognise(adapter), tmp_path / "work") as folder:
        assert load_file(folder / "model.safetensors").keys() == load_file(small_llama / "model.safetensors").keys()


def test_a_head_that_was_trained_is_kept_apart_from_the_embeddings_it_was_tied_to(
    make_model: Callable[..., Path],
    byte_tokenizer: Any,
    request_for: Callable[..., ExportRequest],
    events: list[Any],
    tmp_path: Path,
) -> None:
    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}
    tied = make_model(transformers.LlamaConfig(vocab_size=640, tie_word_embeddings=True, **sizes), byte_tokenizer)
    config = LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"], init_lora_weights=False)
    model = get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(tied), config)
    torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.2)
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    request = request_for(recognise(tmp_path / "adapter"), destination=tmp_path / "merged")
    published = MergedExporter(MergedConfig()).export(request, events.append)
    ids = torch.tensor([[5, 9, 300, 41, 7]])
    merged = transformers.AutoModelForCausalLM.from_pretrained(published)
    with torch.inference_mode():
        assert torch.allclose(merged(ids).logits, model.eval()(ids).logits, atol=1e-4)
    assert not merged.config.tie_word_embeddings
