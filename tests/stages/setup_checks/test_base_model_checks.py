"""The base model on disk and on the hub."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from furrow.components.base_models import BUILT_IN, BaseModelConfig
from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import FurrowError
from furrow.stages.setup_checks.base_model import describe, fetch, find_base_model
from furrow.stages.setup_checks.hub import ask_for, cached_folder
from furrow.stages.setup_checks.model_files import Size, changed_files, size_of
from furrow.stages.setup_checks.tokenizer import light_tokenizer

TINY = BaseModelConfig(huggingface_id="garden/tiny")


def never(question):
    raise AssertionError(question)


def test_the_size_is_read_from_the_headers(model_folder):
    weights = model_folder / "model.safetensors"
    assert size_of(model_folder) == Size(weights.stat().st_size, 5 * 8 + 6)


def test_weights_that_are_cut_off_or_missing_are_refused(model_folder):
    config, weights = BaseModelConfig(path=str(model_folder)), model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(FurrowError, match="cut off"):
        find_base_model(config)
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1")  # what a clone without git-lfs leaves
    with pytest.raises(FurrowError, match="no safetensors header"):
        find_base_model(config)
    weights.unlink()
    with pytest.raises(FurrowError, match=r"lacks model\.safetensors"):
        find_base_model(config)
    assert find_base_model(BaseModelConfig(path=str(model_folder), init="random")).size is None


def test_every_shard_of_the_index_must_be_there(model_folder):
    parts = {"embed": "model-00001-of-00002.safetensors", "norm": "model-00002-of-00002.safetensors"}
    (model_folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (model_folder / "model.safetensors").rename(model_folder / parts["embed"])
    with pytest.raises(FurrowError, match="lacks model-00002-of-00002"):
        find_base_model(BaseModelConfig(path=str(model_folder)))


def test_a_built_in_model_must_be_the_one_of_its_manifest(model_folder, monkeypatch):
    monkeypatch.setitem(BUILT_IN, "seedling", model_folder)
    sums = {file.name: sha256_of(file) for file in model_folder.iterdir()}
    (model_folder / "manifest.json").write_text(json.dumps({"sha256": sums}))
    config = BaseModelConfig(builtin="seedling")
    assert describe(find_base_model(config)).status == "passed"
    (model_folder / "config.json").write_text("{}")
    assert changed_files(model_folder) == ["config.json"]
    with pytest.raises(FurrowError, match=r"config\.json differ"):
        find_base_model(config)


def test_the_hub_is_asked_for_sizes_and_nothing_is_written(hub, no_hub):
    base = find_base_model(TINY)
    needed = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(base.offer.files) == needed
    assert base.to_download == sum(len(hub.files[name]) for name in needed)
    assert "no token is set" in describe(base).found
    assert not no_hub.exists()


def test_a_download_brings_what_training_needs_and_no_more(hub, no_hub):
    base, check = fetch(find_base_model(TINY), never)
    assert check.status == "passed"
    unneeded = {"README.md", "consolidated.safetensors", "onnx/model.json"}
    assert {file.name for file in base.folder.iterdir()} == set(hub.files) - unneeded
    assert (base.folder / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert cached_folder(TINY) == base.folder
    asked = len(hub.requests)
    assert describe(find_base_model(TINY)).status == "passed"
    assert len(hub.requests) == asked


def test_a_large_download_is_asked_for_and_left_out_without_a_yes(hub, no_hub):
    hub.claimed_sizes["model.safetensors"] = 6_400_000_000
    questions = []
    base, check = fetch(find_base_model(TINY), lambda question: questions.append(question) or False)
    assert (check.status, "--yes" in check.remedy) == ("failed", True)
    assert "6.4 GB" in questions[0]
    assert base.folder is None
    assert not no_hub.exists()
    assert fetch(base, lambda question: True)[1].status == "passed"


def test_a_cache_that_lacks_a_file_is_completed(hub):
    base, _ = fetch(find_base_model(TINY), never)
    (base.folder / "model.safetensors").unlink()
    incomplete = find_base_model(TINY)
    assert incomplete.folder is None
    assert fetch(incomplete, never)[0].size == base.size


def test_a_gated_model_is_found_out_before_the_download(hub):
    hub.gated = True
    with pytest.raises(FurrowError, match="Access is restricted") as caught:
        ask_for(TINY)
    assert "licence" in caught.value.remedy
    assert not any("resolve" in request for request in hub.requests)


def test_a_name_that_the_hub_does_not_know_is_said(hub):
    with pytest.raises(FurrowError, match="Repository Not Found") as caught:
        ask_for(BaseModelConfig(huggingface_id="garden/tinny"))
    assert "huggingface_id" in caught.value.remedy


def test_a_repository_without_safetensors_is_refused(hub):
    del hub.files["model.safetensors"]
    with pytest.raises(FurrowError, match="no model"):
        ask_for(TINY)


@pytest.mark.parametrize("token", ["hf_t\u00e4glich", "hf_t\x01glich"])
def test_a_token_that_no_header_can_hold_is_refused_and_never_shown(hub, monkeypatch, token):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(FurrowError, match="characters that no token has") as caught:
        ask_for(TINY)
    assert "glich" not in str(caught.value)
    assert hub.requests == []


def test_a_token_is_told_by_its_presence_only(no_hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with pytest.raises(FurrowError, match="a token is set") as caught:
        ask_for(TINY)
    assert "hf_secret" not in str(caught.value)


@pytest.mark.parametrize("built_in", [False, True])
def test_the_light_tokenizer_counts_as_transformers_does(built_in, model_folder):
    folder = BUILT_IN["seedling"] if built_in else model_folder
    theirs, ours = AutoTokenizer.from_pretrained(folder), light_tokenizer(folder)
    for text in ("", "Why So", "user Why assistant </s>", "When do I sow leeks?\nIn März, 15 cm apart.  "):
        for special in (False, True):
            expected = theirs(text, add_special_tokens=special).input_ids
            assert ours(text, add_special_tokens=special).input_ids == expected
    for name in ("chat_template", "eos_token", "eos_token_id", "bos_token", "bos_token_id", "model_max_length"):
        assert getattr(ours, name) == getattr(theirs, name)
