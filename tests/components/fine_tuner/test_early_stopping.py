"""When training stops early: as transformers' callback would, and with the right weights."""

from __future__ import annotations

import json
import math
import random

import pytest
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState, TrainingArguments

from furrow.components.fine_tuner.pytorch.early_stopping import EarlyStopping, EarlyStoppingConfig
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig


def stopped_at(values, patience, threshold, greater=False):
    rule = EarlyStopping(EarlyStoppingConfig(patience=patience, threshold=threshold), greater)
    return next((place for place, value in enumerate(values) if rule.stops(value)), None)


def theirs_stops_at(folder, values, patience, threshold, greater):
    settings = TrainingArguments(
        output_dir=str(folder), eval_strategy="steps", eval_steps=1, save_strategy="best",
        metric_for_best_model="eval_m", greater_is_better=greater, use_cpu=True, report_to="none",
    )  # fmt: skip
    callback, state, control = EarlyStoppingCallback(patience, threshold), TrainerState(), TrainerControl()
    for place, value in enumerate(values):
        callback.on_evaluate(settings, state, control, {"eval_m": value})
        if control.should_training_stop:
            return place
        if state.best_metric is None or (value > state.best_metric if greater else value < state.best_metric):
            state.best_metric = value  # what Trainer does after each evaluation
    return None


@pytest.mark.parametrize("greater", [False, True])
def test_it_stops_where_transformers_stops(greater, tmp_path):
    chance, stops = random.Random(3), []
    for _ in range(60):
        values = [round(chance.gauss(2 - 0.05 * place, 0.1), 2) * (-1 if greater else 1) for place in range(12)]
        patience, threshold = chance.randint(1, 4), chance.choice([0.0, 0.05, 0.2])
        stops.append(stopped_at(values, patience, threshold, greater))
        assert stops[-1] == theirs_stops_at(tmp_path, values, patience, threshold, greater)
    assert len(set(stops)) > 4 and None in stops


def test_a_metric_that_is_no_number_brings_nothing_and_is_never_the_best():
    assert stopped_at([1.0, math.nan, math.nan, 0.5], 2, 0.0) == 2
    rule = EarlyStopping(EarlyStoppingConfig(patience=3))
    assert not rule.stops(math.nan) and rule.best is None
    assert not rule.stops(2.0) and rule.best == 2.0 and rule.without_gain == 0


@pytest.mark.parametrize(
    ("written", "wanted"),
    [("true", (3, 0.0)), ("false", None), ("{}", (3, 0.0)), ('{"patience": 5, "threshold": 0.01}', (5, 0.01))],
)
def test_it_is_given_as_a_block_or_turned_on(written, wanted):
    given = json.loads(f'{{"eval_strategy": "steps", "early_stopping": {written}}}')
    found = TrainingArgsConfig.model_validate_json(json.dumps(given)).early_stopping
    assert (None if found is None else (found.patience, found.threshold)) == wanted
