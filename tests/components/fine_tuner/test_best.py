"""Which evaluation is the best, where greater is better too, and what may be asked for."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from furrow.components.events import Evaluated
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.keeping.keeper import Best, Keeper


def config(objective, method="lora", **arguments):
    given = {"objective": objective, "method": method, "training_args": {"eval_strategy": "epoch", **arguments}}
    return PyTorchConfig.model_validate_json(json.dumps(given))


@pytest.mark.parametrize(("greatest", "kept"), [(False, [0, 2, 5]), (True, [0, 1])])
def test_only_what_is_better_than_all_before_is_the_best(greatest, kept):
    best = Best()
    values = [0.5, 0.9, 0.4, math.nan, 0.4, 0.1]
    assert [step for step, value in enumerate(values) if best.improves(value, step, greatest=greatest)] == kept
    assert (best.step, best.value) == (kept[-1], values[kept[-1]])


def test_a_metric_that_the_evaluation_does_not_have_is_warned_about_once_and_no_step_is_the_best():
    said = []
    loop = SimpleNamespace(emit=said.append, save_due=lambda step: False)
    arguments = config(
        "kto", metric_for_best_model="rewards/margins", load_best_model_at_end=True, early_stopping={"patience": 1}
    ).training_args
    kept = Keeper(arguments, loop, None, None)
    goes_on = [
        kept.after_step(step, Evaluated(step=step, eval_loss=loss, eval_perplexity=None, seconds=0.0))
        for step, loss in ((1, 0.5), (2, 0.4), (3, 0.6))
    ]
    assert goes_on == [True] * 3 and kept.best == Best() and kept.load_best(3) == 3
    [warned] = said
    assert "the evaluation has no eval_rewards/margins" in warned.message


def test_accuracy_and_f1_are_better_when_greater_and_losses_when_smaller():
    assert config("classification", metric_for_best_model="f1").training_args.best_is_greatest
    assert config(
        "reward", metric_for_best_model="eval_accuracy", greater_is_better=True
    ).training_args.best_is_greatest
    assert not config("classification").training_args.best_is_greatest


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"objective": "sft", "metric_for_best_model": "accuracy"}, "belongs to classification, reward"),
        ({"objective": "reward", "metric_for_best_model": "eval_f1"}, "belongs to classification; objective is reward"),
        ({"objective": "dpo", "metric_for_best_model": "eval_perplexity"}, "belongs to sft, pretrain"),
        (
            {"objective": "reward", "metric_for_best_model": "accuracy", "greater_is_better": False},
            "eval_accuracy is better when greater",
        ),
        ({"objective": "classification", "packing": True}, "packing puts texts together"),
    ],
)
def test_what_an_objective_does_not_have_is_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        config(**given)


@pytest.mark.parametrize(
    ("labels", "says"), [(["a"], "two classes are wanted at least"), (["a", "b", "a"], "given twice: a")]
)
def test_classes_that_are_none_are_refused(labels, says):
    with pytest.raises(ValidationError, match=says):
        config({"type": "classification", "labels": labels})
