"""Every strategy and fragment of the guide loads with its keys as written there (tests/strategies/guide/)."""

from __future__ import annotations

from pathlib import Path

import pytest

from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load

GUIDE = Path(__file__).parent / "guide"
WITH_RANGES = {"small_dataset": "5-10", "large_dataset": "1-2", "domain_adaptation": "2-3"}


def guide(name, overrides=()):
    return load(name, GUIDE / f"{name}.yaml", overrides)


@pytest.mark.parametrize("name", sorted(path.stem for path in GUIDE.glob("*.yaml") if path.stem not in WITH_RANGES))
def test_loads_as_written(name):
    assert guide(name).strategy.key == name


@pytest.mark.parametrize(("name", "range_"), WITH_RANGES.items())
def test_a_range_is_refused_and_one_number_is_wanted(name, range_):
    with pytest.raises(StrategyErrors) as refused:
        guide(name)
    [problem] = refused.value.problems
    assert problem.what.startswith(f"one number is wanted, and '{range_}' is a range; write for example {range_[0]}")
    assert problem.place.line == 1 + next(
        number
        for number, line in enumerate((GUIDE / f"{name}.yaml").read_text().splitlines())
        if "num_train_epochs" in line
    )
    first = range_[0]
    assert guide(name, [f"training_args.num_train_epochs={first}"]).strategy.key == name


def test_the_optimised_strategy_has_the_guides_figures():
    loaded = guide("demo3_training_optimized")
    strategy, config = loaded.strategy, loaded.strategy.fine_tuner.config
    arguments = config.training_args
    assert (config.method.r, config.method.alpha, config.method.dropout) == (4, 8, 0.1)
    assert config.method.target_modules == ("q_proj", "v_proj", "k_proj", "o_proj")
    assert (arguments.num_train_epochs, arguments.learning_rate, arguments.warmup_steps) == (2, 5e-5, 10)
    assert (arguments.eval_strategy, arguments.eval_steps, arguments.load_best_model_at_end) == ("steps", 50, True)
    assert strategy.prompt_template.type == "format"
    assert strategy.prompt_template.config.format == "Question: {input}\nAnswer: {output}\n"
    assert strategy.export.to_ollama and strategy.export.model_name == "medical-llama3.2-optimized"
    assert str(strategy.output_dir) == "fine_tuned_models/medical_optimized"


def test_accumulation_in_hardware_loses_against_training_args_with_a_warning(said):
    loaded = guide("demo3_training_optimized")
    assert loaded.strategy.fine_tuner.config.training_args.gradient_accumulation_steps == 4
    [warning] = [message for message in said(loaded) if message.startswith("warning: ")]
    assert "hardware.optimization.gradient_accumulation_steps (2) has no effect" in warning
    assert "training_args.gradient_accumulation_steps is 4, and wins" in warning


def test_accumulation_in_hardware_acts_where_training_args_does_not_give_it():
    assert guide("cpu").strategy.fine_tuner.config.training_args.gradient_accumulation_steps == 8


def test_mixed_precision_no_is_the_word_no():
    assert guide("mps").strategy.fine_tuner.config.hardware.optimization.mixed_precision == "no"
    assert guide("quick_experimentation").strategy.fine_tuner.config.training_args.eval_strategy == "no"


def test_generation_keys_in_training_args_are_taken_where_they_belong_with_a_note(said):
    loaded = guide("conversational")
    generation = loaded.strategy.generation
    assert (generation.max_new_tokens, generation.temperature, generation.repetition_penalty) == (150, 0.7, 1.1)
    assert any("training_args.temperature is taken as generation.temperature" in message for message in said(loaded))
    assert loaded.strategy.prompt_template.config.stop_sequences == ("\nUser:", "\nAssistant:", "###")


def test_eval_split_in_training_args_is_taken_by_the_dataset():
    loaded = guide("domain_adaptation", ["training_args.num_train_epochs=2"])
    assert loaded.strategy.dataset.eval_split == 0.15
    assert loaded.strategy.data_preprocessing.max_length == 256


def test_settings_without_effect_are_said_to_have_none(said):
    messages = said(guide("multi_gpu"))
    for key in ("fp16_backend", "dataloader_num_workers", "ddp_find_unused_parameters"):
        assert any(f"training_args.{key} has no effect: " in message for message in messages)


def test_a_missing_base_model_is_the_built_in_one_and_a_warning_says_so():
    loaded = guide("demo3_training_optimized")
    assert loaded.strategy.fine_tuner.config.base_model.builtin == "seedling"
    assert any("no base_model is given; the built-in model seedling" in note.message for note in loaded.notes)
    assert not any("no base_model" in note.message for note in guide("training_mps_apple").notes)


def test_data_preprocessing_is_read():
    preprocessing = guide("preprocessing").strategy.data_preprocessing
    assert (preprocessing.max_input_length, preprocessing.max_output_length) == (256, 256)
    assert (preprocessing.remove_duplicates, preprocessing.shuffle, preprocessing.seed) == (True, True, 42)
