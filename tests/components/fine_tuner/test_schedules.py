"""The learning rate of every step: transformers' curve where it has the same settings, points by hand elsewhere."""

from __future__ import annotations

import json
import math

import pytest
import torch
from pydantic import ValidationError
from transformers import get_scheduler

from furrow.components.fine_tuner.pytorch.optimizing.schedules import make_schedule, warmup_steps
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig

PEAK, TOTAL = 0.5, 40


def arguments(**given):
    return TrainingArgsConfig.model_validate_json(json.dumps({"learning_rate": PEAK, **given}))


def curve(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    schedule = make(optimizer)
    rates = []
    for _ in range(TOTAL):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return [*rates, schedule.get_last_lr()[0]]


def ours(**given):
    return curve(lambda optimizer: make_schedule(optimizer, arguments(**given), TOTAL))


def theirs(name, warmup, **settings):
    return curve(lambda optimizer: get_scheduler(name, optimizer, warmup, TOTAL, settings))


@pytest.mark.parametrize("warmup", [0, 4])
@pytest.mark.parametrize(
    ("name", "given", "settings"),
    [
        ("linear", {}, {}),
        ("cosine", {}, {}),
        ("cosine", {"num_cycles": 1.5}, {"num_cycles": 1.5}),
        ("cosine_with_restarts", {}, {}),
        ("cosine_with_restarts", {"num_cycles": 3}, {"num_cycles": 3}),
        ("cosine_with_min_lr", {}, {"min_lr": 0.05}),
        ("cosine_with_min_lr", {"min_lr": 0.2, "num_cycles": 0.25}, {"min_lr": 0.2, "num_cycles": 0.25}),
        ("constant_with_warmup", {}, {}),
        ("polynomial", {"power": 2, "min_lr": 0.1}, {"power": 2.0, "lr_end": 0.1}),
        ("polynomial", {}, {"lr_end": 0.0}),
        ("inverse_sqrt", {}, {}),
        ("warmup_stable_decay", {}, {"num_decay_steps": 8}),
        ("warmup_stable_decay", {"decay_ratio": 0.33, "min_lr": 0.05}, {"num_decay_steps": 14, "min_lr_ratio": 0.1}),
        ("warmup_stable_decay", {"decay_steps": 5, "decay_ratio": 0.5}, {"num_decay_steps": 5}),
    ],
)
def test_a_schedule_is_the_one_of_transformers(name, given, settings, warmup):
    assert ours(lr_scheduler_type=name, warmup_steps=warmup, **given) == theirs(name, warmup, **settings)


def test_constant_stays_and_knows_no_warm_up():
    assert ours(lr_scheduler_type="constant", warmup_steps=4) == [PEAK] * (TOTAL + 1)


@pytest.mark.parametrize(
    ("given", "points"),
    [
        ({"lr_scheduler_type": "linear", "warmup_steps": 10}, {0: 0, 5: 0.25, 10: 0.5, 25: 0.25, 40: 0}),
        ({"lr_scheduler_type": "cosine"}, {0: 0.5, 20: 0.25, 40: 0}),
        ({"lr_scheduler_type": "cosine_with_restarts", "num_cycles": 2}, {0: 0.5, 10: 0.25, 20: 0.5, 30: 0.25}),
        ({"lr_scheduler_type": "cosine_with_min_lr", "min_lr": 0.1}, {0: 0.5, 20: 0.3, 40: 0.1}),
        ({"lr_scheduler_type": "polynomial", "power": 2}, {0: 0.5, 20: 0.125, 40: 0}),
        ({"lr_scheduler_type": "inverse_sqrt", "warmup_steps": 4}, {4: 0.5, 16: 0.25, 36: 0.5 / 3}),
        ({"lr_scheduler_type": "warmup_stable_decay", "decay_steps": 10}, {0: 0.5, 30: 0.5, 35: 0.25, 40: 0}),
    ],
)
def test_a_schedule_passes_through_these_points(given, points):
    rates = ours(**given)
    assert {step: rates[step] for step in points} == pytest.approx(points, abs=1e-12)


def test_a_decay_that_is_longer_than_the_run_begins_after_the_warm_up():
    rates = ours(lr_scheduler_type="warmup_stable_decay", warmup_steps=20, decay_ratio=0.9)
    assert rates[20] == PEAK and rates[30] == pytest.approx(PEAK / 2) and rates[40] == pytest.approx(0)


def test_the_warm_up_is_steps_or_a_share_rounded_up():
    assert warmup_steps(arguments(warmup_ratio=0.1), 41) == math.ceil(4.1)
    assert warmup_steps(arguments(warmup_ratio=0.1, warmup_steps=3), 41) == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"num_cycles": 2},
            "num_cycles is given, and lr_scheduler_type linear has no such setting; it belongs to cosine",
        ),
        ({"lr_scheduler_type": "cosine", "min_lr": 1e-5}, "min_lr is given"),
        ({"lr_scheduler_type": "cosine", "power": 2}, "power is given"),
        ({"lr_scheduler_type": "cosine", "decay_ratio": 0.1}, "decay_ratio is given"),
        ({"lr_scheduler_type": "cosine_with_restarts", "num_cycles": 0.5}, "a whole number of cycles"),
        ({"lr_scheduler_type": "polynomial", "min_lr": 0.5}, "min_lr 0.5 must be below learning_rate 0.5"),
    ],
)
def test_a_setting_that_the_schedule_does_not_have_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        arguments(**given)
