"""The settings of each method: spellings, defaults that follow, and what cannot be is refused with the alternative."""

from __future__ import annotations

import json

import pytest

from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.method import LEARNING_RATES, METHODS, PLANNED
from furrow.components.fine_tuner.pytorch.method_checks import checks


def config(load_text, text):
    return load_text(f"a: {text}").strategy.fine_tuner.config


def test_every_method_has_a_learning_rate_and_its_name_as_type(load_text):
    assert LEARNING_RATES.keys() == METHODS.keys() and not set(PLANNED) & set(METHODS)
    for name in METHODS:
        found = config(load_text, f"{{method: {name}}}")
        assert found.method.type == name and found.training_args.learning_rate == LEARNING_RATES[name]
        assert type(found.method) is METHODS[name]


@pytest.mark.parametrize(("written", "meant"), [("prefix_tuning", "prefix"), ("prompt_tuning", "prompt")])
def test_the_guides_names_are_understood(written, meant, load_text):
    found = config(load_text, f"{{method: {written}}}")
    assert found.method.type == meant and found.training_args.learning_rate == LEARNING_RATES[meant]


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ("{type: qlora, quantization: int8}", "double_quantization", False),
        ("{type: qlora, quantization: fp4}", "double_quantization", True),
        ("{type: rslora}", "use_rslora", True),
        ("{type: adalora, init_r: 6, target_r: 4}", "alpha", 12),
        ("{type: pissa, r: 4}", "dropout", 0.0),
        ("{type: prompt, init_text: Answer}", "init", "text"),
        ("{type: lora, layers_to_transform: [0, 3]}", "layers_to_transform", (0, 3)),
        ("{type: lora, layers_to_transform: last 4}", "layers_to_transform", "last 4"),
        ("{type: ia3, target_modules: [k_proj], feedforward_modules: [k_proj]}", "feedforward_modules", ("k_proj",)),
        ("{type: lora, modules_to_save: [lm_head]}", "modules_to_save", ("lm_head",)),
    ],
)
def test_what_is_written_and_what_follows_from_it(written, key, value, load_text):
    assert getattr(config(load_text, f"{{method: {written}}}").method, key) == value


REFUSED = [
    ("method: {type: qlora, quantization: int8, double_quantization: true}", "double_quantization", "or use nf4"),
    ("method: {type: qlora, quantization: int8, compute_dtype: float32}", "compute_dtype", "or use nf4"),
    ("method: {type: qlora, quantization: int4}", "quantization", "say nf4"),
    ("method: {type: qlora, load_in_4bit: true}", "load_in_4bit", "quantization: nf4"),
    ("method: {type: lora, quantization: nf4}", "quantization", "type: qlora"),
    ("method: {type: pissa, quantization: nf4}", "quantization", "type: qlora"),
    ("method: {type: pissa, init_from: x}", "init_from", "go on from it with `type: lora`"),
    ("method: {type: adalora, init_from: x}", "init_from", "type: lora"),
    ("method: {type: full, init_from: x}", "init_from", "base_model.path"),
    ("method: {type: full, r: 8}", "r", "type: lora"),
    ("method: {type: full, quantization: nf4}", "quantization", "type: qlora"),
    ("method: {type: prefix, use_dora: true}", "use_dora", "type: dora"),
    ("method: {type: lora, use_dora: true}", "use_dora", "type: dora"),
    ("method: {type: prefix, layers_to_transform: [1]}", "layers_to_transform", "type: lora"),
    ("method: {type: prompt, target_modules: [q_proj]}", "target_modules", "type: lora"),
    ("method: {type: prefix, modules_to_save: [lm_head]}", "modules_to_save", "type: lora"),
    ("method: {type: ia3, r: 8}", "r", "type: lora"),
    ("method: {type: ia3, layers_to_transform: [1]}", "layers_to_transform", "type: lora"),
    ("method: {type: ia3, target_modules: [q_proj], feedforward_modules: [up_proj]}", "feedforward_modules", "up_proj"),
    ("method: {type: adalora, init_r: 4, target_r: 4}", "target_r", "type: lora"),
    ("method: {type: adalora, rank_pattern: {q_proj: 4}}", "rank_pattern", "finds the rank of each layer itself"),
    ("method: {type: rslora, use_rslora: false}", "use_rslora", "false"),
    ("method: {type: lora, layers_to_transform: 4}", "layers_to_transform", "`last 4` the last 4"),
    ("method: {type: lora, layers_to_transform: last}", "layers_to_transform", ""),
    ("method: {type: lora, rank_pattern: {'(': 4}}", "rank_pattern", "no regular expression"),
    ("method: {type: prompt, init: text}", "init", "init_text"),
    ("method: {type: prompt, init: random, init_text: x}", "init_text", "leave init out"),
    ("method: [dora, prefix]", "", ""),
    ("method: {type: [dora, prefix]}", "type", "one method is wanted"),
    ("method: {type: vera}", "type", "not there yet"),
    ("method: {type: qlroa}", "type", "did you mean 'qlora'"),
    ("{method: prefix, hardware: {optimization: {gradient_checkpointing: true}}}", "gradient_checkpointing", "prompt"),
    ("{method: prefix, objective: reward}", "method", "type: lora"),
    ("{method: qlora, base_model: {builtin: seedling, init: random}}", "init", "method: full"),
    ("{method: prefix, export: {to_merged: true}}", "export.to_merged", "type: lora"),
    ("{method: prompt, export: {to_gguf: true}}", "export.to_gguf", "type: lora"),
    ("{method: prompt, export: {to_ollama: true}}", "export.to_ollama", "type: lora"),
    ("{method: full, export: {to_gguf_adapter: true}}", "export.to_gguf_adapter", "to_gguf"),
    ("{method: dora, export: {to_gguf_adapter: true}}", "export.to_gguf_adapter", "to_merged or to_gguf"),
    ("{method: ia3, export: {to_gguf_adapter: true}}", "export.to_gguf_adapter", "to_merged or to_gguf"),
    ("{method: adalora, export: {to_gguf_adapter: true}}", "export.to_gguf_adapter", "to_merged or to_gguf"),
    ("{method: {bias: all}, export: {to_gguf_adapter: true}}", "export.to_gguf_adapter", "to_merged or to_gguf"),
    ("{method: {modules_to_save: [lm_head]}, export: {to_gguf_adapter: true}}", "to_gguf_adapter", "modules_to_save"),
]


@pytest.mark.parametrize(("text", "key", "alternative"), REFUSED, ids=[text for text, _, _ in REFUSED])
def test_what_cannot_be_is_refused_at_its_place_with_the_alternative(text, key, alternative, problems):
    [problem] = problems(f"a: {text if text.startswith('{') else '{' + text + '}'}")
    assert problem.startswith("s.yaml:1: ") and alternative in problem
    assert key in problem.removeprefix("s.yaml:1: ").partition(": ")[0]


@pytest.mark.parametrize("name", ["lora", "pissa", "qlora", "loraplus", "rslora"])
def test_what_is_plain_lora_may_become_a_gguf_adapter(name, load_text):
    load_text(f"a: {{method: {name}, export: {{to_gguf_adapter: true, to_merged: true}}}}")


def test_a_filled_strategy_says_the_same_of_every_method(load_text):
    for name in METHODS:
        found = config(load_text, f"{{method: {name}}}").method
        again = PyTorchConfig.model_validate_json(json.dumps({"method": found.model_dump(mode="json")}))
        assert again.method == found


def test_setup_asks_for_bitsandbytes_where_weights_are_quantised():
    def asked(method):
        found = checks(PyTorchConfig.model_validate_json(json.dumps({"method": method})))
        return [check.name for check in found if check.name.startswith("package")]

    assert asked("qlora") == ["package bitsandbytes"] and asked("lora") == []
