"""The strategies that ship, and demos/strategies.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from furrow.strategies.files import LIBRARY, library, load, load_all, names
from furrow.strategies.source import read_file
from furrow.strategies.spellings import bodies

DEMOS = Path(__file__).parents[2] / "demos" / "strategies.yaml"
GUIDE_NAMES = {
    "demo_minimal",
    "demo_production",
    "demo3_training_optimized",
    "demo3_finetuned_model",
    "demo3_base_model",
    "training_cuda_datacenter",
    "training_cuda_consumer",
    "training_mps_apple",
    "training_cpu_only",
}


def test_every_shipped_strategy_verifies_and_has_nothing_to_remark():
    for loaded in load_all():
        assert loaded.notes == [], loaded.strategy.key
        assert loaded.strategy.name and loaded.strategy.description


def test_every_strategy_that_the_guide_names_ships_and_is_in_the_demos():
    assert set(library()) >= GUIDE_NAMES | {"demo_almanac", "seedling_pretrain"}
    assert set(names(DEMOS)) == set(library())


def test_no_name_ships_twice():
    listed = [name for path in LIBRARY.glob("*.yaml") for name in bodies(read_file(path))]
    assert sorted(listed) == sorted(set(listed))


def test_the_demos_verify():
    assert [loaded.strategy.key for loaded in load_all(DEMOS)] == names(DEMOS)


@pytest.mark.parametrize("name", ["demo_minimal", "demo_production", "demo3_training_optimized", "training_cpu_only"])
def test_what_can_run_on_a_cpu_runs_on_the_built_in_model(name):
    config = load(name).strategy.fine_tuner.config
    assert config.base_model.builtin == "seedling"
    assert config.hardware.device in ("auto", "cpu")


def test_the_figures_are_the_guides():
    datacenter = load("training_cuda_datacenter").strategy.fine_tuner.config
    assert (datacenter.method.r, datacenter.method.alpha, datacenter.method.dropout) == (32, 64, 0.05)
    assert datacenter.hardware.mixed_precision_on("cuda") == "bf16"
    assert (datacenter.training_args.per_device_train_batch_size, datacenter.training_args.learning_rate) == (8, 2e-4)
    apple = load("training_mps_apple").strategy.fine_tuner.config
    assert apple.hardware.mixed_precision_on("mps") == "no"
    assert apple.base_model.huggingface_id == "meta-llama/Llama-3.2-3B-Instruct"
    production = load("demo_production").strategy.fine_tuner.config.training_args
    assert (production.warmup_ratio, production.weight_decay, production.save_steps) == (0.1, 0.01, 100)
    minimal = load("demo_minimal").strategy.fine_tuner.config
    assert (minimal.method.r, minimal.training_args.save_strategy, minimal.training_args.eval_strategy) == (
        4,
        "no",
        "no",
    )


def test_the_serving_strategies_share_the_run_of_the_training_and_differ_in_the_adapter():
    trained, tuned, base = (
        load(name).strategy for name in ("demo3_training_optimized", "demo3_finetuned_model", "demo3_base_model")
    )
    assert trained.output_dir == tuned.output_dir == base.output_dir
    assert (tuned.model_app.config.adapter, base.model_app.config.adapter) == (True, False)
    assert trained.prompt_template == tuned.prompt_template == base.prompt_template
