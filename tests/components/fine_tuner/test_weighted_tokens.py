"""Tokens that count more than others, down to the loss: against plain torch, and however the batch is cut."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from furrow.components.events import Evaluated
from furrow.components.records import learned_weight

SETTINGS = {"max_steps": 8, "learning_rate": 3e-3, "max_grad_norm": 0.0, "weight_decay": 0.0}
RANK_4 = {"type": "lora", "r": 4, "dropout": 0.0}


@pytest.fixture
def weighted(examples):
    """Of every second row, each learned token counts something else."""
    return [
        row._replace(weights=[(0.25 + at % 4) * on for at, on in enumerate(row.learned)]) if number % 2 else row
        for number, row in enumerate(examples)
    ]


@pytest.mark.parametrize(
    "cut",
    [
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4},
        {"per_device_train_batch_size": 8, "micro_batch_tokens": 64},
    ],
)
def test_no_cut_of_a_batch_changes_what_weights_do(train, weighted, steps, cut):
    whole, _ = train(weighted, name="whole", per_device_train_batch_size=8, micro_batch_tokens=4096, **SETTINGS)
    other, _ = train(weighted, name="cut", **cut, **SETTINGS)
    assert [event.loss for event in steps(other)] == pytest.approx([event.loss for event in steps(whole)], abs=1e-5)


def test_weights_of_one_change_no_bit_and_equal_weights_no_loss(train, examples, steps):
    plain, folder = train(examples, name="plain", **SETTINGS)
    ones = [row._replace(weights=[1.0 * learned for learned in row.learned]) for row in examples]
    again, other = train(ones, name="ones", **SETTINGS)
    assert [event.loss for event in steps(again)] == [event.loss for event in steps(plain)]
    left, right = (load_file(each / "final_model" / "adapter_model.safetensors") for each in (folder, other))
    assert all(torch.equal(left[name], right[name]) for name in left)
    halves = [row._replace(weights=[0.5 * learned for learned in row.learned]) for row in examples]
    less, _ = train(halves, name="halves", **SETTINGS)
    assert [event.loss for event in steps(less)] == pytest.approx([event.loss for event in steps(plain)], abs=1e-5)


def test_packing_evaluating_and_a_full_model_count_the_same_weights(train, weighted, steps):
    settings = {"max_steps": 2, "learning_rate": 1e-12, "eval_strategy": "steps", "eval_steps": 1}
    rows, found = weighted[:8], []
    ways = ({}, {"packing": True}, {"method": {"type": "full"}}, {"hardware": BF16})
    for number, way in enumerate(ways):
        events, _ = train(rows, rows, name=str(number), per_device_train_batch_size=8, **settings, **way)
        [measured, _] = [event.eval_loss for event in events if isinstance(event, Evaluated)]
        assert next(event.loss for event in steps(events)) == pytest.approx(measured, rel=2e-3)
        found.append(measured)
    assert found[1:3] == pytest.approx([found[0]] * 2, abs=1e-5)
    assert found[3] == pytest.approx(found[0], rel=2e-2)
    assert learned_weight(rows) == pytest.approx(
        sum(sum(row.weights[1:]) if row.weights else sum(row.learned[1:]) for row in rows)
    )


BF16 = {"device": "cpu", "optimization": {"mixed_precision": "bf16"}}
