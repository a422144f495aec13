"""A model of the hub is loaded from the folder that was inspected, of one commit, and fetched once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from furrow.components.base_models import BaseModelConfig
from furrow.components.errors import FurrowError, RequestError
from furrow.components.models.inspection import inspect_model
from furrow.components.models.loading import load_weights
from furrow.components.models.pretrained import load_config, load_tokenizer
from furrow.components.models.snapshot import local
from furrow.stages.setup_checks.base_model import fetch, find_base_model

TINY = "garden/tiny"


def fetched(hub, what=""):
    return [each for each in hub.requests if each.startswith("GET") and "/resolve/" in each and what in each]


def test_a_tokenizer_is_fetched_without_the_weights(hub):
    assert load_tokenizer(TINY)("Why So").input_ids == [4, 5]
    assert fetched(hub, "tokenizer.json") and not fetched(hub, "safetensors") and not fetched(hub, "onnx")


def test_what_one_process_loads_is_of_one_commit(hub):
    load_tokenizer(TINY)
    first = local(TINY)
    hub.push(config=json.dumps({"model_type": "llama", "auto_map": {"AutoConfig": "own.Own"}}).encode())
    assert load_config(TINY).hidden_size == 8
    assert local(TINY, weights=True) == first and (Path(first) / "model.safetensors").is_file()
    assert not fetched(hub, hub.commit)


def test_what_setup_downloaded_is_not_fetched_again(hub):
    base, _ = fetch(find_base_model(BaseModelConfig(huggingface_id=TINY)), lambda question: True)
    asked = len(fetched(hub))
    assert local(TINY, weights=True) == str(base.folder)
    load_tokenizer(TINY)
    assert len(fetched(hub)) == asked


def test_a_hub_that_does_not_answer_is_made_up_for_by_the_cache(hub, monkeypatch):
    from huggingface_hub import constants

    fetch(find_base_model(BaseModelConfig(huggingface_id=TINY)), lambda question: True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(hub.requests)
    load_tokenizer(TINY)
    inspect_model(local(TINY, weights=True))
    assert len(hub.requests) == asked


def test_weights_in_pickles_are_refused_before_anybody_offers_to_convert_them(hub):
    hub.files["pytorch_model.bin"] = hub.files.pop("model.safetensors")
    with pytest.raises(RequestError, match=r"garden/tiny has no model\*\.safetensors"):
        load_weights(TINY, dtype="auto")
    assert not fetched(hub, ".bin") and not any("discussions" in each or "refs" in each for each in hub.requests)


def test_an_adapter_in_a_repository_of_weights_is_refused(hub):
    hub.files["adapter_config.json"] = json.dumps({"peft_type": "LORA", "base_model_name_or_path": TINY}).encode()
    with pytest.raises(RequestError, match="lies beside the weights"):
        load_weights(TINY, dtype="auto")


def test_code_in_a_repository_is_refused_with_the_command_that_downloads_it(hub):
    hub.files["config.json"] = json.dumps({"model_type": "llama", "auto_map": {"AutoConfig": "own.Own"}}).encode()
    with pytest.raises(RequestError) as caught:
        load_tokenizer(TINY)
    assert "`hf download garden/tiny --local-dir COPY`" in caught.value.remedy


def test_a_gated_model_is_named_in_the_hubs_own_words(hub):
    hub.gated = True
    with pytest.raises(FurrowError, match="Access is restricted"):
        load_tokenizer(TINY)


def test_a_token_that_no_header_can_hold_is_not_quoted_by_loading_either(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_t\x01glich")
    with pytest.raises(FurrowError, match="characters that no token has"):
        load_tokenizer(TINY)
    assert hub.requests == []
