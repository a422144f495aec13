"""A model of others is looked at before a library reads it; what is whole comes in as it always did."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from furrow.components.errors import FurrowError, RequestError
from furrow.components.interruption import Hung, Unwound
from furrow.components.models import inspection, pretrained
from furrow.components.models.inspection import inspect_config, inspect_model
from furrow.components.models.loading import load_weights
from furrow.components.models.safetensors_header import read_header
from furrow.components.models.settings import refuse_code, refuse_model
from tests.faults.hostile._tiny import base, change


def test_a_whole_model_is_let_through_whole_or_in_shards(tmp_path: Path) -> None:
    place = base(tmp_path)
    inspect_model(str(place))
    tensors = load_file(place / "model.safetensors")
    names = {name: f"model-0000{number % 2 + 1}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for file in set(names.values()):
        save_file({name: tensors[name] for name in names if names[name] == file}, place / file, {"format": "pt"})
    (place / "model.safetensors").unlink()
    (place / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    inspect_model(str(place))
    loaded = load_weights(str(place), dtype=torch.float32).state_dict()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("nested", [lambda code: code, lambda code: {"text_config": {"inner": [code]}}])
@pytest.mark.parametrize(
    "code",
    [
        {"auto_map": {"AutoConfig": "configuration.Own"}},
        {"attn_implementation": "someone/kernel"},
        {"_attn_implementation_internal": {"": "someone/kernel@v1"}},
        {"trust_remote_code": True},
        {"use_kernels": True},
    ],
)
def test_settings_that_ask_for_code_are_refused_however_deep(
    tmp_path: Path, nested: Callable[[Any], Any], code: dict[str, Any]
) -> None:
    with pytest.raises(RequestError, match="asks for code of its own"):
        inspect_config(str(base(tmp_path, **nested(code))))


def test_what_asks_for_no_code_is_let_through(tmp_path: Path) -> None:
    harmless = {"attn_implementation": "sdpa", "_attn_implementation_internal": None, "trust_remote_code": False}
    inspect_config(str(base(tmp_path, **harmless, auto_map={}, rope_theta=10**9, eos_token_id=2**40)))


def test_a_repository_of_the_hub_is_looked_at_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers.utils import hub

    commit = "0123456789abcdef" * 2 + "01234567"
    snapshot = tmp_path / "models--someone--model" / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text(commit)
    (snapshot / "config.json").write_text(json.dumps({"model_type": "llama", "auto_map": {"AutoConfig": "own.Own"}}))
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(RequestError, match="asks for code of its own"):
        pretrained.load_tokenizer("someone/model")


def test_weights_that_are_missing_are_not_drawn_afresh(tmp_path: Path) -> None:
    place = base(tmp_path)
    tensors = load_file(place / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(FurrowError, match=r"lack 1 that its architecture has: model\.layers\.1\.mlp\.up_proj\.weight"):
        load_weights(str(place), dtype=torch.float32)


def test_a_classifier_still_gets_its_fresh_head(tmp_path: Path) -> None:
    model = load_weights(str(base(tmp_path)), dtype=torch.float32, labels=["a", "b", "c"])
    assert model.score.weight.shape == (3, 16)


def test_a_size_that_the_weights_do_not_have_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"vocab_size is 9,000,000, and the weights .* \(320 is the largest\)"):
        inspect_model(str(base(tmp_path, vocab_size=9_000_000)))


_TENSORS = st.tuples(st.sampled_from([torch.float32, torch.int8, torch.bool]), st.lists(st.integers(0, 3), max_size=3))


@given(st.dictionaries(st.text(min_size=1), _TENSORS, max_size=4))
@settings(max_examples=50, deadline=2000)
def test_the_header_of_any_safetensors_file_is_read_as_the_library_wrote_it(tmp_path_factory: Any, wanted: Any) -> None:
    wanted.pop("__metadata__", None)
    file = tmp_path_factory.mktemp("header") / "x.safetensors"
    save_file({name: torch.zeros(shape, dtype=dtype) for name, (dtype, shape) in wanted.items()}, file)
    header = read_header(file)
    assert header.shapes == {name: tuple(shape) for name, (_, shape) in wanted.items()}
    assert header.bytes == file.stat().st_size


def test_pickled_weights_come_out_as_the_numbers_they_were(
    tmp_path: Path, furrow: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    place, new = base(tmp_path), tmp_path / "new"
    tied = LlamaForCausalLM(LlamaConfig(**json.loads((place / "config.json").read_text()))).state_dict()
    (place / "model.safetensors").unlink()
    torch.save(tied, place / "pytorch_model.bin")
    refused = furrow("convert", place, new, "--format", "safetensors")
    assert refused.code == 2 and "--allow-pickle" in refused.err and not new.exists()
    assert furrow("convert", place, new, "--format", "safetensors", "--allow-pickle").code == 0
    assert not list(new.glob("*.bin"))
    loaded = load_weights(str(new), dtype=torch.float32).state_dict()
    assert loaded.keys() == tied.keys() and all(torch.equal(loaded[name], tied[name]) for name in tied)


def test_sharded_pickles_keep_their_index(tmp_path: Path, furrow: Callable[..., Any]) -> None:
    place, new = base(tmp_path), tmp_path / "new"
    tensors = load_file(place / "model.safetensors")
    (place / "model.safetensors").unlink()
    names = list(tensors)
    for number, part in enumerate((names[:5], names[5:]), 1):
        torch.save({name: tensors[name] for name in part}, place / f"pytorch_model-0000{number}-of-00002.bin")
    (place / "pytorch_model.bin.index.json").write_text("{}")
    assert furrow("convert", place, new, "--format", "safetensors", "--allow-pickle").code == 0
    loaded = load_weights(str(new), dtype=torch.float32).state_dict()
    assert all(torch.equal(loaded[name], tensors[name]) for name in tensors)


def test_allow_pickle_belongs_to_that_format_alone(tmp_path: Path, furrow: Callable[..., Any]) -> None:
    ended = furrow("convert", base(tmp_path), tmp_path / "new", "--format", "merged", "--allow-pickle")
    assert ended.code == 2 and "only --format safetensors reads pickles" in ended.err


def test_a_token_without_a_row_is_named(tmp_path: Path) -> None:
    from furrow.components.tokens import refuse_unknown_tokens

    model = load_weights(str(base(tmp_path)), dtype=torch.float32)
    refuse_unknown_tokens(model, [[0, 319], []])
    with pytest.raises(FurrowError, match=r"gives token 320, and the model has 320"):
        refuse_unknown_tokens(model, [[0], [320]])


def test_a_tokenizer_of_any_base_is_let_through_unchanged(tmp_path: Path) -> None:
    place = change(base(tmp_path), "tokenizer.json", normalizer={"type": "Prepend", "prepend": "▁"})
    assert pretrained.load_tokenizer(str(place))("hello").input_ids


@pytest.mark.slow
def test_what_transformers_itself_fills_in_is_let_through_for_every_architecture() -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    tried = 0
    for name in CONFIG_MAPPING.keys():  # noqa: SIM118 - it is no mapping to ruff's liking: iterating it imports all
        try:
            config = json.loads(CONFIG_MAPPING[name]().to_json_string(use_diff=False))
        except Exception:  # some want settings, or packages
            continue
        tried += 1
        refuse_code(config, name)
        refuse_model(config, name, shapes=None)
    assert tried > 500


@pytest.mark.parametrize(
    "number", [{"gradient_clipping": 10**10}, {"attention_invalid_logits_value": -1e9}, {"pad_val": 1123581321}]
)
def test_numbers_that_are_no_size_may_be_as_large_as_they_like(tmp_path: Path, number: dict[str, Any]) -> None:
    inspect_config(str(base(tmp_path, **number)))


@pytest.mark.parametrize("kind", ["mxfp4", "fp8", "gptq", "awq"])
def test_quantised_weights_are_refused_where_weights_are_wanted_and_nowhere_else(tmp_path: Path, kind: str) -> None:
    place = base(tmp_path, quantization_config={"quant_method": kind})
    assert pretrained.load_tokenizer(str(place))("hello").input_ids
    inspect_config(str(place))
    with pytest.raises(RequestError, match=f"quantised by '{kind}'"):
        inspect_model(str(place))


def test_fresh_weights_do_not_take_over_how_the_old_ones_were_kept(tmp_path: Path) -> None:
    from furrow.components.base_models import BaseModelConfig
    from furrow.components.fine_tuner.pytorch.model.load import load_base

    place = base(tmp_path, quantization_config={"quant_method": "fp8"})
    load_base(BaseModelConfig(path=str(place), init="random"), torch.float32).save_pretrained(tmp_path / "new")
    assert load_weights(str(tmp_path / "new"), dtype=torch.float32).dtype == torch.float32


def test_an_adapter_beside_the_weights_is_not_loaded_unasked(tmp_path: Path) -> None:
    place = base(tmp_path)
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "x/y"}))
    with pytest.raises(RequestError, match="lies beside the weights") as caught:
        load_weights(str(place), dtype=torch.float32)
    assert "method.init_from" in caught.value.remedy and "merge" in caught.value.remedy


def test_a_file_of_weights_that_the_settings_name_is_not_opened(tmp_path: Path) -> None:
    place = base(tmp_path, transformers_weights="sub/x.safetensors")
    (place / "sub").mkdir()
    (place / "model.safetensors").rename(place / "sub" / "x.safetensors")
    with pytest.raises(RequestError, match="names another file of weights"):
        load_weights(str(place), dtype=torch.float32)


def test_a_tokenizer_is_inspected_again_only_when_its_file_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, read = base(tmp_path), []
    monkeypatch.setattr(inspection, "refuse_bombs", lambda rules, file: read.append(file))
    for _ in range(3):
        inspection.inspect_tokenizer(str(place))
    assert len(read) == 1
    change(place, "tokenizer.json", normalizer={"type": "Prepend", "prepend": "▁"})
    inspection.inspect_tokenizer(str(place))
    assert len(read) == 2


def test_whatever_a_library_raises_is_a_clear_error_and_a_signal_stays_one() -> None:
    class Odd(BaseException):
        """As torch.distributed has them."""

    with pytest.raises(pretrained.Unreadable, match="Odd: broken"), pretrained.refusing_nonsense("the model"):
        raise Odd("broken")
    for signal in (KeyboardInterrupt(), SystemExit(3), Hung(), Unwound(15), RequestError("ours")):
        with pytest.raises(type(signal)) as caught, pretrained.refusing_nonsense("the model"):
            raise signal
        assert caught.value is signal


def test_code_that_is_not_needed_is_left_behind_as_the_error_says(tmp_path: Path) -> None:
    place = base(tmp_path, auto_map={"AutoConfig": "configuration_own.Own"})
    with pytest.raises(RequestError) as caught:
        load_weights(str(place), dtype=torch.float32)
    command = re.findall(r"`(.*)`", str(caught.value.remedy))[0].replace("COPY", str(tmp_path / "copy"))
    subprocess.run(shlex.split(command), check=True)
    file = tmp_path / "copy" / "config.json"
    file.write_text(
        json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "auto_map"})
    )
    assert load_weights(str(tmp_path / "copy"), dtype=torch.float32).config.model_type == "llama"


_DOORS = {
    "components/models/pretrained.py", "components/models/loading.py",
    "components/fine_tuner/pytorch/keeping/training_state.py", "components/fine_tuner/pytorch/model/init_from.py",
    "components/exporter/merged/folder.py", "components/exporter/gguf/adapter_export.py",
}  # fmt: skip
"""Who calls `from_pretrained`: each inspects what it is given, or is given what `recognise` has inspected."""


def test_models_come_in_by_these_doors_only(root: Path) -> None:
    for file in (root / "furrow").rglob("*.py"):
        calls = (node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
        if any(isinstance(called, ast.Attribute) and called.attr == "from_pretrained" for called in calls):
            assert str(file.relative_to(root / "furrow")) in _DOORS
