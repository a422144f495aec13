"""The settings of objectives: told apart by type, with defaults that fit together."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.objective import OBJECTIVES, DpoObjective


def settings(**blocks):
    return PyTorchConfig.model_validate_json(json.dumps(blocks))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_bare_name_is_an_objective_with_its_defaults(name):
    assert settings(objective=name).objective == settings(objective={"type": name}).objective == OBJECTIVES[name]()


def test_no_objective_and_no_type_mean_sft():
    assert settings().objective.type == settings(objective={}).objective.type == "sft"
    assert DpoObjective() == settings(objective={"type": "dpo", "loss": "sigmoid", "beta": 0.1}).objective


@pytest.mark.parametrize(
    ("objective", "method", "rate"),
    [
        ("sft", "lora", 2e-4),
        ("dpo", "lora", 5e-5),
        ("kto", {"r": 8}, 5e-5),
        ("orpo", "full", 1e-6),
        ("simpo", "dora", 2.5e-5),
        ("pretrain", "full", 5e-5),
    ],
)
def test_the_learning_rate_follows_from_objective_and_method(objective, method, rate):
    assert settings(objective=objective, method=method).training_args.learning_rate == pytest.approx(rate)
    given = settings(objective=objective, method=method, training_args={"learning_rate": 3e-4})
    assert given.training_args.learning_rate == 3e-4


def test_preferences_have_no_dropout_unless_it_is_asked_for():
    assert settings(objective="sft").method.dropout > 0
    assert settings(objective="dpo").method.dropout == settings(objective="dpo", method={"r": 4}).method.dropout == 0
    assert settings(objective="dpo", method={"type": "lora", "dropout": 0.05}).method.dropout == 0.05
    assert settings(objective="dpo", method="prompt_tuning").method.type == "prompt"


@pytest.mark.parametrize(
    ("objective", "complaint"),
    [
        ("dop", "did you mean 'dpo'"),
        (["dpo"], "objective"),
        ({"type": ["dpo"]}, "there is no objective"),
        ({"type": "dpo", "loss": "ipo", "label_smoothing": 0.1}, "belongs to loss: sigmoid, and loss is ipo"),
        ({"type": "dpo", "label_smoothing": 0.5}, "less than 0.5"),
        ({"type": "orpo", "gamma": 1.0}, "gamma"),
        ({"type": "simpo", "beta": 0}, "greater than 0"),
        ({"type": "kto", "undesirable_weight": -1}, "greater than 0"),
    ],
)
def test_what_is_no_objective_is_refused(objective, complaint):
    with pytest.raises(ValidationError, match=complaint):
        settings(objective=objective)
