"""Every key says what may become of it when a run is gone on with, and those that are free are these and no others."""

from __future__ import annotations

import pytest

from furrow.components.config import Bound, Config, Fixed, Free
from furrow.strategies.errors import dotted
from furrow.strategies.files import load
from furrow.strategies.keys import every_key
from furrow.strategies.moved_keys import short

FREE = {
    "name", "description", "components.model_app", "generation", "export", "monitoring",
    "dataset.train_file", "dataset.eval_file", "dataset.reader", "dataset.on_bad_row",
    "dataset.format", "dataset.columns", "dataset.on_faulty_data", "dataset.cache_dir", "dataset.cache_gb",
    "base_model.builtin", "base_model.path", "base_model.huggingface_id",
    "hardware.device", "hardware.memory_gb", "hardware.optimization.gradient_checkpointing",
    "hardware.optimization.activation_cache_gb",
    "prompt_template.stop_sequences", "prompt_template.file", "dataset.mix.template.stop_sequences",
    "dataset.mix.template.file",
    "training_args.output_dir", "training_args.micro_batch_tokens", "training_args.torch_compile",
    "training_args.on_nonfinite", "training_args.hang_timeout_seconds", "training_args.save_retry_seconds",
    "training_args.eval_strategy", "training_args.eval_steps", "training_args.save_strategy",
    "training_args.save_steps", "training_args.save_total_limit", "training_args.greater_is_better",
}  # fmt: skip
"""Beside those that have no effect; a block stands for all that is in it."""
GROWING = {"training_args.num_train_epochs", "training_args.max_steps"}
FIXED = {"method", "objective", "base_model.init"}
"""Blocks of whose keys some are bound."""
BOUND_IN_FIXED = {
    "method.dropout", "method.lr_ratio", "method.orth_reg_weight", "objective.beta", "objective.loss",
    "objective.label_smoothing", "objective.gamma", "objective.desirable_weight", "objective.undesirable_weight",
    "objective.center_rewards_coefficient",
}  # fmt: skip


def mine(key):
    """Not a key of the fine-tuner `trl`, whose runs cannot be gone on with."""
    is_trls = "fine_tuner.trl" in key.owner.__module__ or (key.path[3:4] == ("method",) and key.variant is None)
    return not is_trls or "pytorch.component" in key.owner.__module__


def name(key):
    return dotted(short(key.path))


def under(names, key):
    return any(key == each or key.startswith(f"{each}.") for each in names)


KEYS = [key for key in every_key() if mine(key)]


def test_the_free_keys_are_those_of_the_table():
    found = {name(key): key for key in KEYS if isinstance(key.on_resume, Free) and key.no_effect is None}
    growing = {each for each, key in found.items() if key.on_resume.growing}
    assert growing == GROWING
    assert {each for each in found if not under(FREE, each)} == GROWING
    assert {each for each in FREE if each not in found} == set()


def test_what_has_no_effect_is_free():
    assert all(isinstance(key.on_resume, Free) for key in KEYS if key.no_effect is not None)


def test_the_fixed_keys_are_those_of_the_table():
    fixed = {name(key) for key in KEYS if isinstance(key.on_resume, Fixed)}
    assert {each for each in fixed if not under(FIXED, each)} == set() and fixed >= FIXED
    in_them = {name(key) for key in KEYS if under(FIXED, name(key)) and type(key.on_resume) is Bound}
    assert in_them == BOUND_IN_FIXED


@pytest.mark.parametrize(
    "key",
    [
        "training_args.learning_rate", "training_args.seed", "training_args.per_device_train_batch_size",
        "training_args.optim", "training_args.lr_scheduler_type", "training_args.metric_for_best_model",
        "training_args.early_stopping", "hardware.optimization.mixed_precision", "base_model.torch_dtype",
        "dataset.eval_split", "data_preprocessing.max_length", "prompt_template.format",
    ],
)  # fmt: skip
def test_what_a_step_depends_on_is_bound(key):
    assert {type(each.on_resume) for each in KEYS if name(each) == key} == {Bound}


def test_every_reason_is_given():
    assert all(key.on_resume.why for key in every_key())


def test_a_key_of_a_plugin_is_bound_without_a_mark():
    class Plugin(Config):
        strength: int = 1
        """Of whatever it does."""

    from furrow.strategies.keys import on_resume

    assert on_resume(Plugin.model_fields["strength"], Bound()) == Bound()
    watching = Free("watching changes no weight")
    assert on_resume(Plugin.model_fields["strength"], watching) == watching  # as a tracker's is


@pytest.mark.parametrize(
    ("old", "new", "free"), [(3, 5, True), (5, 3, False), (-1, 5, False), (5, -1, False), (3.0, 3.5, True)]
)
def test_a_growing_number_is_free_in_one_direction(old, new, free):
    assert Free("ends later", growing=True).allows(old, new) is free


def test_the_marks_of_a_loaded_strategy_are_those_of_the_keys(tmp_path):
    from furrow.strategies.changes import _marks

    loaded = load("seedling-qa") if "seedling-qa" in _names() else load(_names()[0])
    known = {key.path: {type(each.on_resume) for each in every_key() if each.path == key.path} for key in every_key()}
    marks = {path: type(mark) for path, mark in _marks(loaded.strategy, (), Bound()) if path[-1] != "type"}
    assert all(mark in known[path] for path, mark in marks.items()) and len(marks) > 100


def _names():
    from furrow.strategies.files import library

    return list(library())
