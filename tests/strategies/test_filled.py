"""The filled strategy: every default written out, loading to an equal Strategy."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from furrow.strategies.files import filled_yaml, library, load
from furrow.strategies.keys import every_key
from furrow.strategies.schema import Strategy

MINIMAL = Strategy.model_validate_json('{"key": "a"}')


def reloaded(strategy, folder):
    path = folder / "filled.yaml"
    path.write_text(filled_yaml(strategy), encoding="utf-8")
    return load(strategy.key, path)


@pytest.mark.parametrize("name", library())
def test_a_shipped_strategy_comes_back_equal_and_unremarked(name, tmp_path):
    loaded = load(name)
    again = reloaded(loaded.strategy, tmp_path)
    assert again.strategy == loaded.strategy
    assert not again.notes


def test_what_furrow_chose_is_written_out(load_text, tmp_path):
    loaded = load_text("a: {method: full, training_args: {eval_strategy: epoch, report_to: tensorboard, bf16: true}}")
    written = yaml.safe_load(filled_yaml(loaded.strategy))["a"]
    config = written["components"]["fine_tuner"]["config"]
    assert config["base_model"]["builtin"] == "seedling"
    assert config["training_args"]["learning_rate"] == 5e-5
    assert config["training_args"]["output_dir"] == "fine_tuned_models/a"
    assert config["hardware"]["optimization"]["mixed_precision"] == "bf16"
    assert written["dataset"]["eval_split"] == 0.1
    assert written["export"]["model_name"] == "a"
    assert written["monitoring"]["trackers"] == [{"type": "tensorboard"}]
    assert not reloaded(loaded.strategy, tmp_path).notes


def test_every_key_with_a_default_value_is_written(load_text):
    written = yaml.safe_load(filled_yaml(load_text("a: {}").strategy))["a"]
    off = [  # blocks that are not there
        ("components", "fine_tuner", "config", "training_args", "early_stopping"),
        *(("dataset", name) for name in ("mix", "augmentation")),
        ("data_preprocessing", "filter_quality"),
    ]
    for key in every_key():
        if any(key.path[: len(block)] == block for block in off) or ".trl." in key.owner.__module__:
            continue
        default = key.field.get_default(call_default_factory=True, validated_data={})
        if key.is_block or key.field.is_required() or default is None or "reader" in key.path:
            continue
        if key.variant not in (None, "pytorch", "lora", "transformers", "random", "chat"):
            continue
        at = written
        for step in key.path:
            assert step in at, key.path
            at = at[step]


def test_an_option_of_the_command_line_is_in_the_filled_file(load_text, tmp_path):
    loaded = load_text("a: {}", ["method.r=3", "dataset.train_file=x.jsonl"])
    again = reloaded(loaded.strategy, tmp_path).strategy
    assert again == loaded.strategy
    assert (again.fine_tuner.config.method.r, again.dataset.train_file) == (3, "x.jsonl")


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40))
@example("no")
@example("1e-4")
@example("010")
@example("12:30")
@example("${oc.env:HF_TOKEN}")
@example("\\${a} \\\\${b}")
@example("a: b # c")
@example("trailing \n\n")
@example("\n leading")
@example("NBSP\u00a0ZWJ\u200dLS\u2028 NEL\x85 BOM\ufeff")
@example("\x00\x07\x1b")
@example("2020-01-01")
@example("null")
@example("=")
@example("\x85")
@example("\r\n")
@example(" \u2029")
@example("<<")
def test_any_text_survives(tmp_path_factory, text):
    assume(text != "???")  # OmegaConf's sign for a missing value; no file can bring it in
    strategy = MINIMAL.model_copy(update={"description": text})
    assert reloaded(strategy, tmp_path_factory.mktemp("filled")).strategy.description == text


@pytest.mark.parametrize("key", ["no", "1e-4", "010", "null", "2020-01-01", "a b", "grün", "_", "a.b-c"])
def test_any_name_survives(tmp_path, key):
    strategy = MINIMAL.model_copy(update={"key": key})
    assert reloaded(strategy, tmp_path).strategy.key == key
