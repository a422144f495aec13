"""`--set key=value`."""

from __future__ import annotations

import pytest

from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load

TEXT = "a: {method: {r: 4}, training_args: {learning_rate: 1e-4, max_steps: 5}, generation: {temperature: 0.3}}"


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("training_args.learning_rate=1e-3", "fine_tuner.config.training_args.learning_rate", 1e-3),
        ("components.fine_tuner.config.training_args.max_steps=9", "fine_tuner.config.training_args.max_steps", 9),
        ("method.r=8", "fine_tuner.config.method.r", 8),
        ("method.target_modules=[q_proj, v_proj]", "fine_tuner.config.method.target_modules", ("q_proj", "v_proj")),
        ("hardware.device=cpu", "fine_tuner.config.hardware.device", "cpu"),
        ("optimization.mixed_precision=no", "fine_tuner.config.hardware.optimization.mixed_precision", "no"),
        ("objective=pretrain", "fine_tuner.config.objective.type", "pretrain"),
        ("base_model=org/model", "fine_tuner.config.base_model.huggingface_id", "org/model"),
        ("base_model=./here", "fine_tuner.config.base_model.path", "./here"),
        ("base_model=builtin:seedling", "fine_tuner.config.base_model.builtin", "seedling"),
        ("dataset.train_file=my rows.jsonl", "dataset.train_file", "my rows.jsonl"),
        ("generation.temperature=null", "generation.temperature", 0.0),
        ("training_args.temperature=0.8", "generation.temperature", 0.8),
        ("components.model_app=ollama", "model_app.type", "ollama"),
        ("export.to_gguf=true", "export.to_gguf", True),
        ("prompt_template.system=Note: be *brief*", "prompt_template.config.system", "Note: be *brief*"),
        ("prompt_template.format={input} => {output}", "prompt_template.config.format", "{input} => {output}"),
        ('prompt_template.stop_sequences=["\\n", "###"]', "prompt_template.config.stop_sequences", ("\n", "###")),
        ("prompt_template.system=a=b", "prompt_template.config.system", "a=b"),
    ],
)
def test_sets_one_key(override, path, value, load_text):
    found = load_text(TEXT, [override]).strategy
    for step in path.split("."):
        found = getattr(found, step)
    assert found == value


def test_the_last_one_wins_and_the_rest_of_the_file_stays(load_text):
    config = load_text(TEXT, ["method.r=8", "method.r=2"]).strategy.fine_tuner.config
    assert (config.method.r, config.training_args.max_steps) == (2, 5)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "training_args.lr=1e-3",
            "--set training_args.lr=1e-3: training_args.lr: is not known; did you mean 'learning_rate'? "
            "see `strategies schema` for all keys",
        ),
        (
            "training_args.num_train_epochs=5-10",
            "--set training_args.num_train_epochs=5-10: training_args.num_train_epochs: "
            "one number is wanted, and '5-10' is a range; write for example 5",
        ),
        ("method.r=0", "--set method.r=0: method.r: must be at least 1, got 0"),
        (
            "training_args.seed=010",
            "--set training_args.seed=010: training_args.seed: YAML reads 010 as an octal number; write 10, or '010' "
            "for text",
        ),
        (
            "name={x} ${y",
            "--set name={x} ${y: name: a `${` begins a reference, which must be closed and plain; "
            "write \\${ for the characters",
        ),
        ("novalue", "--set novalue: wanted is key=value, such as training_args.learning_rate=1e-4"),
        ("=5", "--set =5: wanted is key=value, such as training_args.learning_rate=1e-4"),
    ],
)
def test_a_mistake_is_blamed_on_the_option(override, problem, problems):
    assert problems(TEXT, [override]) == [problem]


LORA = """
    mine:
      base_model: builtin:seedling
      method: {type: lora, r: 8, alpha: 8, dropout: 0.0}
    heir:
      extends: mine
      method: {type: dora, r: 4}
"""


@pytest.mark.parametrize("override", ["method.type=dora", "method=dora", "method={type: dora}"])
def test_settings_that_another_type_leaves_behind_are_named(override, load_text, said):
    loaded = load_text(LORA, [override])
    assert (loaded.strategy.fine_tuner.config.method.r, loaded.strategy.fine_tuner.config.method.alpha) == (16, 32)
    [note] = [message for message in said(loaded) if "left behind" in message]
    assert "method is dora instead of lora: r, alpha, dropout of lora are left behind" in note


def test_only_what_the_new_type_has_and_is_not_given_again_is_named(load_text, write, said):
    assert not [message for message in said(load_text(LORA, ["method.type=full"])) if "left behind" in message]
    assert not [message for message in said(load_text(LORA, ["method.r=4"])) if "left behind" in message]
    [note] = [message for message in said(load("heir", write(LORA))) if "left behind" in message]
    assert note.startswith("s.yaml:6: method is dora instead of lora: alpha, dropout of lora are left behind")


MIX = "s:\n  dataset:\n    mix:\n    - {file: a.jsonl, weight: 1}\n    - {file: b.jsonl, weight: 1}\n"


def test_an_entry_of_a_list_is_set_by_its_number_and_the_others_stay(load_text):
    mix = load_text(MIX, overrides=["dataset.mix.1.weight=2.5"]).strategy.dataset.mix
    assert [(entry.file, entry.weight) for entry in mix] == [("a.jsonl", 1.0), ("b.jsonl", 2.5)]


@pytest.mark.parametrize(
    ("override", "wrong"),
    [
        ("dataset.mix.2.weight=3", "dataset.mix.2: there are 2, and the first one is 0"),
        ("dataset.mix.0.wieght=3", "did you mean 'weight'"),
        ("dataset.mix.0.weight=x", "a number is wanted"),
        ("dataset.mix={a: 1}", "a list is wanted"),
    ],
)
def test_an_entry_that_is_not_there_or_a_mapping_in_place_of_a_list_is_named(override, wrong, load_text):
    with pytest.raises(StrategyErrors, match=wrong):
        load_text(MIX, overrides=[override])
