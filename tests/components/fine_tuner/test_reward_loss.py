"""The reward objective against TRL's RewardTrainer, on the same batch and the same weights."""

from __future__ import annotations

import copy

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from trl import RewardConfig, RewardTrainer

from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objective import RewardObjective
from furrow.components.fine_tuner.pytorch.objectives.last_token import make_ready
from furrow.components.fine_tuner.pytorch.objectives.reward import Reward, bradley_terry
from furrow.components.records import Example, Pair


@pytest.fixture
def reward_model(tiny_model):
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_model, num_labels=1, dtype=torch.float32)
    make_ready(model, AutoTokenizer.from_pretrained(tiny_model))
    return model.train()


@pytest.fixture
def pairs(examples):
    """10 pairs; both answers follow one prompt and end with the end token, which is padding too."""
    drawn = enumerate(zip(examples[:10], examples[10:20], strict=True))
    return [_pair(one.input_ids, other.input_ids, number / 10) for number, (one, other) in drawn]


def _pair(chosen, other, margin):
    return Pair(_answer(chosen[:3], [*chosen[3:], 0]), _answer(chosen[:3], [*other, 0]), "", margin)


def _answer(prompt, ids):
    return Example([*prompt, *ids], [False] * len(prompt) + [True] * len(ids), "")


@pytest.fixture
def trls(tiny_model, tmp_path):
    """(loss, gradients, figures) that TRL computes for these pairs as one batch."""

    def compute(model, pairs, centre, with_margin):
        rows = [{"chosen_ids": one.chosen.input_ids, "rejected_ids": one.rejected.input_ids} for one in pairs]
        if with_margin:
            rows = [{**row, "margin": one.margin} for row, one in zip(rows, pairs, strict=True)]
        arguments = RewardConfig(
            output_dir=str(tmp_path / "trl"), use_cpu=True, bf16=False, report_to="none",
            center_rewards_coefficient=centre or None, activation_checkpointing=False,
        )  # fmt: skip
        trainer = RewardTrainer(
            model=copy.deepcopy(model),
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=AutoTokenizer.from_pretrained(tiny_model),
        )
        trainer.model.train()
        loss = trainer.compute_loss(trainer.model, trainer.data_collator(rows))
        loss.backward()
        gradients = {name: one.grad for name, one in trainer.model.named_parameters() if one.grad is not None}
        return loss.item(), gradients, {name: values[-1] for name, values in trainer._metrics["train"].items()}

    return compute


@pytest.mark.parametrize(("centre", "with_margin", "cut"), [(0.0, False, 10), (0.01, True, 3)])
def test_loss_gradients_and_figures_are_trls(reward_model, pairs, trls, centre, with_margin, cut):
    expected, gradients, figures = trls(reward_model, pairs, centre, with_margin)
    if not with_margin:
        pairs = [pair._replace(margin=None) for pair in pairs]
    objective = Reward(RewardObjective(center_rewards_coefficient=centre))
    forward = Forward(reward_model, pad_id=0, longest=64)
    context = objective.context(pairs, forward)
    shares = [objective.share(pairs[at : at + cut], forward, context) for at in range(0, len(pairs), cut)]
    total = sum(share.loss for share in shares)
    total.backward()
    assert total.item() == pytest.approx(expected, abs=1e-5)
    found = {name: one.grad for name, one in reward_model.named_parameters() if one.grad is not None}
    assert found.keys() == gradients.keys()
    assert all(torch.allclose(found[name], gradients[name], atol=1e-5) for name in found)
    metrics = objective.metrics({"figures": sum(share.sums["figures"] for share in shares)})
    assert metrics == pytest.approx(
        {"accuracy": figures["accuracy"], "margin": figures["margin"], "score": figures["mean_reward"]}, abs=1e-5
    )


def test_a_margin_asks_for_a_larger_lead_and_a_centre_for_scores_around_zero():
    lead = torch.tensor([1.0]), torch.tensor([0.0])
    none = torch.zeros(1)
    assert bradley_terry(*lead, none, 0.0).item() == pytest.approx(0.3132617)  # log(1 + exp(-1))
    assert bradley_terry(*lead, torch.ones(1), 0.0).item() == pytest.approx(0.6931472)  # log 2
    assert bradley_terry(lead[0] + 3, lead[1] + 3, none, 0.01).item() == pytest.approx(0.3132617 + 0.49)


def test_equal_scores_are_not_in_the_right_order(reward_model, pairs):
    same = [pair._replace(rejected=pair.chosen) for pair in pairs]
    objective = Reward(RewardObjective())
    share = objective.share(same, Forward(reward_model, pad_id=0, longest=64), len(same))
    assert objective.metrics(share.sums)["accuracy"] == 0
