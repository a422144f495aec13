"""What was allowed to change holds from the next step on: its figures are those of a step computed by hand."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaForCausalLM

from furrow.components.events import Noted, StepEnded, Warned
from furrow.components.fine_tuner.pytorch.engine.batches import seed_of
from furrow.stages.data.training_data import prepare
from furrow.stages.run.resume import NEWEST
from furrow.strategies.files import load

NAME = "model/model.safetensors"


@pytest.fixture
def examples(strategy_file, base_folder):
    return prepare(load("tiny", strategy_file()), AutoTokenizer.from_pretrained(base_folder), print).train.examples


def order(epoch, seed=42):
    return torch.randperm(12, generator=torch.Generator().manual_seed(seed_of(seed, epoch))).tolist()


def by_hand(checkpoint, rows, rate, *, decay=0.0, betas=(0.9, 0.999), clip=1.0):
    """(loss, norm of the gradient, weights afterwards) of one step of AdamW on these rows."""
    model = LlamaForCausalLM.from_pretrained(checkpoint / "model", dtype=torch.float32)
    losses = []
    for row in rows:
        [logits] = model(torch.tensor([row.input_ids])).logits
        learned = torch.tensor(row.learned[1:])
        losses.append(
            torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row.input_ids[1:]), reduction="none")[learned]
        )
    loss = torch.cat(losses).mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    named = dict(model.named_parameters())
    matrices, vectors = ([one for one in named.values() if (one.ndim > 1) is wanted] for wanted in (True, False))
    groups = [{"params": matrices, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=betas)
    for path, tensor in load_file(checkpoint / "optimizer.safetensors").items():
        name, _, key = path.rpartition("/")
        optimizer.state[named[name]][key] = tensor
    optimizer.step()
    return loss.item(), norm.item(), named


@pytest.fixture
def assert_as_by_hand(go, cut_run, examples):
    """Goes on from step 6 under changed arguments, and compares step 7 with one that is computed by hand."""

    def check(arguments, rate, *, rows=None, allow=("training_args",), **settings):
        wanted = by_hand(
            cut_run.checkpoints / "step-00000006", [examples[row] for row in rows or order(2)[:4]], rate, **settings
        )
        run, events = go(resume=NEWEST, cut=8, arguments={"save_steps": 1, **arguments}, allow=allow)
        step = next(event for event in events if isinstance(event, StepEnded))
        assert (step.step, step.learning_rate) == (7, pytest.approx(rate, rel=1e-12))
        assert step.loss == pytest.approx(wanted[0], rel=1e-5) and step.grad_norm == pytest.approx(wanted[1], rel=1e-4)
        saved = load_file(run.checkpoints / "step-00000007" / NAME)
        for name, weight in saved.items():
            torch.testing.assert_close(weight, wanted[2][name].detach(), rtol=1e-5, atol=rate * 1e-2)

    return check


HALF = 0.5 * 0.005
"""The learning rate of step 7 of 12: linear, from 0.005 down."""


@pytest.mark.parametrize(
    ("arguments", "rate", "settings"),
    [
        ({"learning_rate": 0.001}, 0.0005, {}),
        ({"lr_scheduler_type": "constant"}, 0.005, {}),
        ({"warmup_steps": 10}, 0.005 * 6 / 10, {}),
        ({"weight_decay": 0.5}, HALF, {"decay": 0.5}),
        ({"max_grad_norm": 0.01}, HALF, {"clip": 0.01}),
        ({"adam_beta1": 0.5, "adam_beta2": 0.9}, HALF, {"betas": (0.5, 0.9)}),
        ({"per_device_train_batch_size": 6}, 0.005 * 4 / 10, {"rows": order(2)[:6]}),
        ({"gradient_accumulation_steps": 2}, 0.005 * 4 / 10, {"rows": order(2)[:8]}),
        ({"seed": 7}, HALF, {"rows": order(2, seed=7)[:4]}),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_the_next_step_is_the_one_computed_by_hand(arguments, rate, settings, assert_as_by_hand):
    assert_as_by_hand(arguments, rate, **settings)


def test_without_a_change_it_is_too(assert_as_by_hand):
    assert_as_by_hand({}, HALF, allow=())


def test_another_optimiser_begins_with_nothing_and_that_is_said(go, cut_run):
    """After one step the mean of Lion is a hundredth of the gradient."""
    run, events = go(resume=NEWEST, cut=8, arguments={"save_steps": 1, "optim": "lion"}, allow=["training_args"])
    assert any("optim was adamw and is lion" in event.message for event in events if isinstance(event, Warned))
    step = next(event for event in events if isinstance(event, StepEnded))
    means = load_file(run.checkpoints / "step-00000007" / "optimizer.safetensors")
    norm = torch.stack([mean.norm() for path, mean in means.items() if path.endswith("/average")]).norm().item()
    assert norm == pytest.approx(0.01 * min(step.grad_norm, 1.0), rel=1e-4)


def test_another_batch_size_within_an_epoch_goes_on_behind_its_last_row_and_stays_there(go, cut_run, examples):
    shutil.rmtree(cut_run.checkpoints / "step-00000006")  # step 4 has learned 4 rows of the second epoch
    wanted = by_hand(cut_run.checkpoints / "step-00000004", [examples[row] for row in order(1)[4:10]], 0.005 * 6 / 10)
    changed = {"per_device_train_batch_size": 6, "save_steps": 1}
    _, events = go(resume=NEWEST, cut=6, arguments=changed, allow=["training_args"])
    first = next(event for event in events if isinstance(event, StepEnded))
    assert first.loss == pytest.approx(wanted[0], rel=1e-5)
    assert first.learning_rate == pytest.approx(0.005 * 6 / 10)  # 4 steps, 2 more in this epoch, 2 in each of 2 others
    [said] = [event.message for event in events if isinstance(event, Noted) and "from step 5 on" in event.message]
    assert "6 of 12 rows (before: 4 of 12); epoch 2 goes on after row 4" in said
    run, later = go(resume=NEWEST, arguments=changed)  # cut after step 5, 10 rows into the epoch
    steps = [event for event in later if isinstance(event, StepEnded)]
    short = sum(len(examples[row].input_ids) for row in order(1)[10:])
    assert (steps[0].step, steps[0].total_tokens, steps[0].epoch) == (6, short, 2.0)
    assert [step.step for step in steps] == [6, 7, 8, 9, 10] and steps[-1].epoch == 4.0
    assert not any("from step" in event.message for event in later if isinstance(event, Noted))
    assert run.read_manifest()["finished"]


def test_another_seed_drops_out_otherwise_and_orders_the_next_epoch_otherwise(go, tmp_path):
    """A rate of 1e-30 leaves weights as they are: from the second epoch on, a run with the other seed throughout."""
    lora, still = {"type": "lora", "r": 4, "dropout": 0.5}, {"learning_rate": 1e-30, "num_train_epochs": 3}
    begun, _ = go(method=lora, arguments={"num_train_epochs": 2}, overrides=[f"training_args.output_dir={tmp_path}/a"])
    method = {**lora, "init_from": str(begun.final_model)}
    _, first = go(method=method, arguments=still, cut=5)
    _, resumed = go(method=method, arguments={**still, "seed": 7}, resume=NEWEST, allow=["training_args.seed"])
    _, whole = go(
        method=method, arguments={**still, "seed": 7}, overrides=[f"training_args.output_dir={tmp_path}/whole"]
    )
    old, new, wanted = (
        {event.step: event.loss for event in events if isinstance(event, StepEnded)}
        for events in (first, resumed, whole)
    )
    assert [new[step] for step in range(7, 10)] == [wanted[step] for step in range(7, 10)]
    assert new[5] not in (old[5], wanted[5])  # the same rows, dropped out otherwise; other rows
