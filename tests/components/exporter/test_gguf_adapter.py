"""A LoRA adapter as GGUF, put on the base by llama.cpp, changes the answers as PEFT does."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from gguf import GGUFReader
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftConfig, PromptTuningConfig, get_peft_model

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import ExportVerified
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.gguf import adapter as adapter_module
from furrow.components.exporter.gguf.adapter_export import GgufAdapterExporter
from furrow.components.exporter.gguf.component import GgufAdapterConfig
from furrow.components.models.folder import recognise

PLAIN: Mapping[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "init_lora_weights": False}
SCALES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "rsLoRA": {"use_rslora": True},
    "rank pattern": {"rank_pattern": {"q_proj": 2, "layers.1.mlp.down_proj": 7}},
    "alpha pattern": {"alpha_pattern": {"k_proj": 32, "up_proj": 1}},
    "all at once": {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"q_proj": 3, "k_proj": 5}},
}


@pytest.fixture
def adapt(small_llama: Path, tmp_path: Path) -> Callable[..., Path]:
    """(**LoRA settings) -> folder of a random adapter on the small llama."""

    def make(**settings: Any) -> Path:
        torch.manual_seed(1)
        base = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
        model = get_peft_model(base, LoraConfig(**{**PLAIN, **settings}))
        model.save_pretrained(tmp_path / "adapter")
        return tmp_path / "adapter"

    return make


@pytest.fixture
def export(request_for: Callable[..., ExportRequest], events: list[Any]) -> Callable[..., ExportVerified]:
    """(folder) -> the measured agreement of its f32 adapter."""

    def run(folder: Path, **changes: Any) -> ExportVerified:
        exporter = GgufAdapterExporter(GgufAdapterConfig(quantization="f32"))
        exporter.export(request_for(recognise(folder), **changes), events.append)
        [verified] = [event for event in events if isinstance(event, ExportVerified)]
        return verified

    return run


@pytest.mark.parametrize("name", SCALES)
def test_llama_cpp_scales_the_adapter_as_peft_does(
    name: str, adapt: Callable[..., Path], export: Callable[..., ExportVerified]
) -> None:
    verified = export(adapt(**SCALES[name]))
    assert verified.max_abs < 1e-3
    assert verified.top1_agreement == 1.0


def test_a_scale_that_is_not_folded_in_is_refused(
    adapt: Callable[..., Path], export: Callable[..., ExportVerified], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = adapter_module.read_pairs

    def unscaled(model: Any) -> Any:
        return [dataclasses.replace(pair, scale=8 / pair.b.shape[1]) for pair in real(model)]

    monkeypatch.setattr("furrow.components.exporter.gguf.adapter_export.read_pairs", unscaled)
    with pytest.raises(FurrowError, match="the adapter disagrees with the model"):
        export(adapt(use_rslora=True))
    assert not (tmp_path / "out").exists()


def test_the_file_says_that_it_is_a_lora_with_its_alpha(
    adapt: Callable[..., Path], export: Callable[..., ExportVerified], tmp_path: Path
) -> None:
    verified = export(adapt(), destination=tmp_path / "exports")
    assert Path(verified.path).name == "tiny-adapter-f32.gguf"
    reader = GGUFReader(verified.path)
    assert reader.fields["general.type"].contents() == "adapter"
    assert reader.fields["adapter.type"].contents() == "lora"
    assert reader.fields["adapter.lora.alpha"].contents() == 8.0
    shapes = {tensor.name: list(tensor.shape) for tensor in reader.tensors}
    assert shapes["blk.0.attn_k.weight.lora_a"] == [256, 4]  # ggml counts the fastest dimension first
    assert shapes["blk.0.attn_k.weight.lora_b"] == [4, 128]
    assert json.loads(Path(verified.path + ".json").read_text())["source"]["kind"] == "adapter"


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]}, "modules_to_save"),
        (
            {"trainable_token_indices": {"embed_tokens": [1, 2]}, "target_modules": ["q_proj"]},
            "trainable_token_indices",
        ),
        ({"bias": "all"}, "bias"),
    ],
)
def test_what_a_gguf_adapter_cannot_hold_is_refused_with_the_remedy_to_merge(
    settings: dict[str, Any], named: str, adapt: Callable[..., Path], export: Callable[..., ExportVerified]
) -> None:
    with pytest.raises(FurrowError, match=rf"{named}[\s\S]*export the merged model instead"):
        export(adapt(**settings))


@pytest.mark.parametrize(
    "config",
    [
        AdaLoraConfig(init_r=4, target_r=2, total_step=9, target_modules="all-linear"),
        IA3Config(target_modules=["k_proj"], feedforward_modules=[]),
    ],
    ids=["adalora", "ia3"],
)
def test_an_adapter_that_is_no_lora_is_refused_with_the_remedy_to_merge(
    config: PeftConfig, small_llama: Path, tmp_path: Path, export: Callable[..., ExportVerified]
) -> None:
    base = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(FurrowError, match=r"of type (adalora|ia3)[\s\S]*export the merged model instead"):
        export(tmp_path / "adapter")


def test_virtual_tokens_are_refused_with_a_method_that_can_be_exported(
    small_llama: Path, tmp_path: Path, export: Callable[..., ExportVerified]
) -> None:
    base = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
    config = PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM")
    get_peft_model(base, config).save_pretrained(tmp_path / "adapter")
    with pytest.raises(RequestError, match=r"virtual tokens[\s\S]*changes weights \(lora\)"):
        export(tmp_path / "adapter")


def test_lora_on_the_embeddings_is_refused(adapt: Callable[..., Path], export: Callable[..., ExportVerified]) -> None:
    with pytest.raises(FurrowError, match=r"embed_tokens\.weight is not one of a linear layer"):
        export(adapt(target_modules=["q_proj", "embed_tokens"]))


def test_whole_weights_are_no_adapter(small_llama: Path, export: Callable[..., ExportVerified]) -> None:
    with pytest.raises(RequestError, match="whole weights, not an adapter"):
        export(small_llama)
