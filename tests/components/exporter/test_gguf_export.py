"""The exporter `gguf` from request to published file: quantisation, metadata, manifest, refusals."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import gguf
import pytest
import torch
import transformers
from gguf import GGUFReader
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Exported, ExportVerified, Warned
from furrow.components.exporter import ExportRequest
from furrow.components.exporter.gguf import export as export_module
from furrow.components.exporter.gguf.component import GgufConfig, Quantization
from furrow.components.exporter.gguf.export import GgufExporter
from furrow.components.exporter.gguf.llama import LlamaCpp
from furrow.components.models.folder import ModelFolder, recognise

Run = Callable[..., Path]


@pytest.fixture
def export(request_for: Callable[..., ExportRequest], events: list[Any]) -> Run:
    """(folder, quantization, **changes of the request) -> what was published."""

    def run(folder: Path, quantization: str = "f32", **changes: Any) -> Path:
        config = GgufConfig.model_validate_json(json.dumps({"quantization": quantization}))
        return GgufExporter(config).export(request_for(recognise(folder), **changes), events.append)

    return run


def _field(path: Path, key: str) -> Any:
    return GGUFReader(path).fields[key].contents()


def test_every_quantisation_of_the_closed_list_passes_its_gate_and_gets_smaller(
    small_llama: Path, export: Run, tmp_path: Path, events: list[Any]
) -> None:
    sizes, kl = {}, {}
    for name in get_args(Quantization):
        path = export(small_llama, name, destination=tmp_path / "all")
        sizes[name] = path.stat().st_size
        kl[name] = next(event.mean_kl for event in reversed(events) if isinstance(event, ExportVerified))
    assert sizes["f32"] > sizes["f16"] > sizes["q8_0"] > sizes["q6_k"] > sizes["q4_k_m"] > sizes["q2_k"]
    assert kl["f32"] < kl["f16"] < kl["q8_0"] < kl["q4_k_m"] < kl["q2_k"]


def test_the_manifest_tells_hash_size_figures_and_the_types_that_came_out(small_llama: Path, export: Run) -> None:
    path = export(small_llama, "q4_k_m")
    manifest = json.loads(path.with_name("tiny.gguf.json").read_text())
    assert manifest["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest["bytes"] == path.stat().st_size
    assert {"Q4_K", "Q6_K", "F32"} <= set(manifest["tensor_types"])
    assert manifest["agreement"]["f32"]["mean_kl"] < 1e-9 < manifest["agreement"]["q4_k_m"]["mean_kl"]
    assert manifest["source"]["path"] == str(small_llama)


def test_rows_that_256_does_not_divide_are_reported_with_the_type_they_really_have(
    make_model: Callable[..., Path], byte_tokenizer: Any, export: Run
) -> None:
    config = transformers.LlamaConfig(
        vocab_size=640, hidden_size=96, intermediate_size=96, num_hidden_layers=1, num_attention_heads=2
    )
    path = export(make_model(config, byte_tokenizer), "q4_k_m")
    types = json.loads(path.with_name("tiny.gguf.json").read_text())["tensor_types"]
    assert "Q4_K" not in types


def test_the_file_carries_name_template_and_the_token_that_ends_a_turn(small_llama: Path, export: Run) -> None:
    path = export(small_llama)
    tokens = _field(path, "tokenizer.ggml.tokens")
    assert _field(path, "general.name") == "tiny"
    assert _field(path, "tokenizer.chat_template").startswith("{% for m in messages %}")
    assert tokens[_field(path, "tokenizer.ggml.eot_token_id")] == "<|end|>"
    assert tokens[_field(path, "tokenizer.ggml.eos_token_id")] == "</s>"
    assert tokens[-1] == "[PAD639]"


def test_a_name_that_would_switch_phi3_stripping_on_is_written_apart(small_llama: Path, export: Run) -> None:
    path = export(small_llama, model_name="my-phi3-tuned")
    assert _field(path, "general.name") == "my-phi 3-tuned"


def test_a_folder_as_destination_names_the_file_by_model_and_quantisation(
    small_llama: Path, export: Run, tmp_path: Path, events: list[Any]
) -> None:
    path = export(small_llama, "f16", destination=tmp_path / "exports")
    assert path == tmp_path / "exports" / "tiny-f16.gguf"
    [exported] = [event for event in events if isinstance(event, Exported)]
    assert (exported.path, exported.bytes) == (str(path), path.stat().st_size)


def test_an_existing_file_is_kept_unless_overwrite_is_said(small_llama: Path, export: Run, tmp_path: Path) -> None:
    destination = tmp_path / "there.gguf"
    destination.write_text("mine")
    with pytest.raises(RequestError, match="exists already"):
        export(small_llama, destination=destination)
    assert destination.read_text() == "mine"
    export(small_llama, destination=destination, overwrite=True)
    assert destination.read_bytes()[:4] == b"GGUF"


def test_an_adapter_is_merged_on_the_way(
    small_llama: Path, export: Run, tmp_path: Path, byte_tokenizer: Any, events: list[Any]
) -> None:
    base = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False))
    model.save_pretrained(tmp_path / "adapter")
    export(tmp_path / "adapter")
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.max_abs < 1e-3
    assert not list((tmp_path / "out").glob(".*"))


def test_a_mistral_whose_window_llama_cpp_does_not_know_gets_the_context_that_is_right(
    make_model: Callable[..., Path], byte_tokenizer: Any, export: Run, events: list[Any]
) -> None:
    config = transformers.MistralConfig(
        vocab_size=640,
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        sliding_window=128,
    )
    path = export(make_model(config, byte_tokenizer))
    assert _field(path, "llama.context_length") == 128
    assert any(isinstance(event, Warned) and "128 tokens" in event.message for event in events)


def test_weights_beyond_float16_are_refused_with_the_type_that_holds_them(small_llama: Path, export: Run) -> None:
    _change(small_llama, lambda weights: weights["model.layers.0.mlp.up_proj.weight"][0, 0].fill_(1e6))
    with pytest.raises(FurrowError, match=r"beyond float16[\s\S]*bf16"):
        export(small_llama, "f16")


def test_an_architecture_that_is_not_in_the_table_is_refused_by_name(
    make_model: Callable[..., Path], byte_tokenizer: Any, export: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LLAMA_CPP_DIR", raising=False)
    config = transformers.GPT2Config(vocab_size=640, n_embd=32, n_layer=1, n_head=2, n_positions=64)
    with pytest.raises(FurrowError, match=r"GPT2LMHeadModel cannot be written[\s\S]*LlamaForCausalLM"):
        export(make_model(config, byte_tokenizer))


def test_a_token_without_a_row_in_the_embeddings_is_refused(
    make_model: Callable[..., Path], byte_tokenizer: Any, export: Run
) -> None:
    config = transformers.LlamaConfig(
        vocab_size=598, hidden_size=64, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    )
    with pytest.raises(FurrowError, match="token id 599, the embeddings have only 598 rows"):
        export(make_model(config, byte_tokenizer), probe_prompts=("sow leeks",))


def test_tied_embeddings_that_are_not_tied_are_refused(small_llama: Path, export: Run) -> None:
    config = json.loads((small_llama / "config.json").read_text())
    (small_llama / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    with pytest.raises(FurrowError, match="says tie_word_embeddings, but"):
        export(small_llama)


def test_a_tensor_that_the_graph_does_not_load_is_refused(small_llama: Path, export: Run) -> None:
    _change(small_llama, lambda weights: weights.update({"model.layers.0.extra.weight": torch.ones(2, 2)}))
    with pytest.raises(FurrowError, match=r"no tensor for model\.layers\.0\.extra"):
        export(small_llama)


def test_tokens_that_llama_cpp_cuts_differently_are_refused(
    small_llama: Path, export: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("furrow.components.exporter.gguf.pre_tokenizers._BY_THE_MERGES", {"llama-bpe": "gpt-2"})
    with pytest.raises(FurrowError, match="into other tokens than transformers"):
        export(small_llama)


def test_a_file_that_llama_cpp_refuses_says_why(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "no.gguf", "nonsense")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(FurrowError, match=r"llama.cpp refuses no.gguf: .*nonsense"):
        LlamaCpp(tmp_path / "no.gguf")


def test_llama_cpp_does_not_see_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "no.gguf").write_bytes(b"GGUF and nothing more, but long enough for a header")
    with pytest.raises(FurrowError, match=r"no\.gguf: no whole GGUF file"):
        LlamaCpp(tmp_path / "no.gguf")


def test_the_converter_of_a_checkout_serves_other_architectures_and_is_verified_all_the_same(
    make_model: Callable[..., Path],
    small_llama: Path,
    byte_tokenizer: Any,
    export: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    other = export(small_llama, destination=tmp_path / "other.gguf")
    script = tmp_path / "convert_hf_to_gguf.py"
    script.write_text(
        "import shutil, sys, pathlib\n"
        "assert (pathlib.Path(sys.argv[1]) / 'tokenizer.json').is_file()\n"
        f"shutil.copy({str(other)!r}, sys.argv[sys.argv.index('--outfile') + 1])\n"
    )
    monkeypatch.setenv("LLAMA_CPP_DIR", str(tmp_path))
    config = transformers.GPT2Config(vocab_size=640, n_embd=32, n_layer=1, n_head=2, n_positions=64)
    with pytest.raises(FurrowError, match="disagrees with the model"):  # it was given another model's file
        export(make_model(config, byte_tokenizer, "gpt2"))
    script.write_text("raise SystemExit('no such model')\n")
    with pytest.raises(FurrowError, match="converter failed: no such model"):
        export(make_model(config, byte_tokenizer, "gpt2 again"))


def _change(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_weights_in_many_files_are_one_model(small_llama: Path, export: Run, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(small_llama)
    model.save_pretrained(tmp_path / "shards", max_shard_size="500KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 2
    shutil.copy(small_llama / "tokenizer.json", tmp_path / "shards")
    shutil.copy(small_llama / "tokenizer_config.json", tmp_path / "shards")
    one, many = export(small_llama), export(tmp_path / "shards", destination=tmp_path / "many.gguf")
    assert sorted(t.data.tobytes() for t in GGUFReader(one).tensors) == sorted(
        t.data.tobytes() for t in GGUFReader(many).tensors
    )


def test_without_probes_the_texts_that_tokenizers_cut_differently_are_the_probes(
    small_llama: Path, export: Run, events: list[Any]
) -> None:
    export(small_llama, probe_prompts=())
    [verified] = [event for event in events if isinstance(event, ExportVerified)]
    assert verified.positions > 200


def test_a_quantised_file_that_is_broken_is_refused(
    small_llama: Path, export: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gates of k-quants are wide; a file with a fifth of its bytes zeroed is still beyond them."""
    real = export_module.quantize

    def damaging(source: Path, into: Path, quantization: str) -> None:
        real(source, into, quantization)
        content = bytearray(into.read_bytes())
        middle, fifth = len(content) // 2, len(content) // 5
        content[middle : middle + fifth] = bytes(fifth)
        into.write_bytes(content)

    monkeypatch.setattr(export_module, "quantize", damaging)
    with pytest.raises(FurrowError, match="the q4_k_m file disagrees"):
        export(small_llama, "q4_k_m")


def test_the_request_is_checked_before_the_model_is_loaded(
    small_llama: Path, export: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(export_module, "load", lambda source: pytest.fail("the model was loaded"))
    (tmp_path / "there.gguf").touch()
    with pytest.raises(RequestError):
        export(small_llama, destination=tmp_path / "there.gguf")


def test_whole_weights_are_read_where_they_lie(small_llama: Path, export: Run) -> None:
    before = {file.name: file.stat().st_mtime_ns for file in small_llama.iterdir()}
    export(small_llama)
    assert {file.name: file.stat().st_mtime_ns for file in small_llama.iterdir()} == before
    assert ModelFolder(small_llama, "weights") == recognise(small_llama)
