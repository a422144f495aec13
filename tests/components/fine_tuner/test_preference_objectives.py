"""Preferences against TRL's own trainers: the same batch and weights, the same loss; the same start, the same way."""

from __future__ import annotations

import random

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from furrow.components.errors import FurrowError
from furrow.components.events import MicroBatchShrunk, Warned
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan, seed_of
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objective import DpoObjective, KtoObjective, OrpoObjective, SimpoObjective
from furrow.components.fine_tuner.pytorch.objectives.table import make_objective
from furrow.components.records import Example, Judged, Pair

TEXTS = {"prompt": ["the"], "chosen": [" fox"], "rejected": [" dog"]}
"""TRL's trainers want a data set to begin with; the tests hand them their batches."""

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of transformers, on settings of TRL's own


def pairs(count=12, prompt=None, seed=0):
    """Prompts of 1 to 9 tokens (or `prompt`), answers of 2 to 12, all different."""
    chance = random.Random(seed)

    def ids(fewest, most):
        return [chance.randrange(1, 300) for _ in range(chance.randint(fewest, most))]

    rows = []
    for number in range(count):
        given, where = ids(prompt or 1, prompt or 9), f"pairs.jsonl:{number + 1}"
        answers = [[*ids(1, 11), 0] for _ in range(2)]
        rows.append(Pair(*(_example(given, answer, where) for answer in answers), where))
    return rows


def _example(given, answer, where):
    return Example([*given, *answer], [False] * len(given) + [True] * len(answer), where)


def verdicts(count=12):
    """Every third answer is not wanted; the answer to another prompt is the row before's, as in TRL."""
    examples = [row.chosen for row in pairs(count)]
    rows = []
    for number, example in enumerate(examples):
        start, other = example.learned.index(True), examples[number - 1]
        unrelated = _example(example.input_ids[:start], _answer(other), example.where)
        rows.append(Judged(example, number % 3 > 0, example.where, unrelated))
    return rows


def _answer(example):
    return example.input_ids[example.learned.index(True) :]


def _prompt(example):
    return example.input_ids[: example.learned.index(True)]


@pytest.fixture(scope="module")
def models(tiny_model):
    """(the reference, and the same after it has moved)."""
    reference = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    moved = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for model in (reference, moved):  # beginnings that are not all but uniform, and not alike
            for weight in model.parameters():
                weight.add_(0.15 * torch.randn_like(weight))
    return reference, moved


@pytest.fixture
def ours(models):
    """The loss, its gradient on the first layer and the figures of a batch, cut into micro-batches of `size` rows."""

    def measure(config, batch, size=5):
        reference, moved = models
        objective = make_objective(config)
        with torch.no_grad():
            objective.prepare(batch, Forward(reference, pad_id=0, longest=64), lambda event: None)
        forward = Forward(moved, pad_id=0, longest=64)
        moved.zero_grad()
        with torch.no_grad():
            context = objective.context(batch, forward)
        loss, sums = 0.0, {}
        for start in range(0, len(batch), size):
            share = objective.share(batch[start : start + size], forward, context)
            share.loss.backward()
            loss += share.loss.item()
            sums = {name: sums.get(name, 0) + value for name, value in share.sums.items()}
        return loss, _gradient(moved), objective.metrics(sums)

    return measure


def _gradient(model):
    return model.model.layers[0].mlp.up_proj.weight.grad.clone()


@pytest.fixture
def trainer(trl, models, tiny_model, tmp_path):
    """One of TRL's trainers around the two models."""

    def build(kind, config, data=TEXTS, **more):
        _, moved = models
        tokenizer = AutoTokenizer.from_pretrained(tiny_model)
        arguments = config(output_dir=str(tmp_path), report_to=[], use_cpu=True, bf16=False, max_length=None, **more)
        with_reference = {"ref_model": models[0]} if kind in (trl.DPOTrainer, trl.KTOTrainer) else {}
        return kind(
            model=moved,
            args=arguments,
            train_dataset=trl.Dataset.from_dict(data),
            processing_class=tokenizer,
            **with_reference,
        )

    return build


def _trl_pairs(batch):
    return [
        {"prompt_ids": _prompt(row.chosen), "chosen_ids": _answer(row.chosen), "rejected_ids": _answer(row.rejected)}
        for row in batch
    ]


def _compare(mine, theirs, trainer, names):
    """TRL's loss (a tensor with its graph) and logged figures against ours."""
    loss, gradient, figures = mine
    trainer.model.zero_grad()
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), abs=1e-5)
    torch.testing.assert_close(gradient, _gradient(trainer.model), atol=1e-5, rtol=1e-4)
    logged = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    assert {name: figures[name] for name in names} == pytest.approx({name: logged[name] for name in names}, abs=1e-4)


REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins")
LOGPS = ("logps/chosen", "logps/rejected")


@pytest.mark.parametrize("loss", ["sigmoid", "hinge", "ipo"])
def test_dpo_has_trls_loss_gradient_and_figures(trl, ours, trainer, loss):
    batch = pairs()
    theirs = trainer(trl.DPOTrainer, trl.DPOConfig, loss_type=[loss], beta=0.3)
    theirs.model.train()
    inputs = theirs.data_collator(_trl_pairs(batch))
    mine = ours(DpoObjective(loss=loss, beta=0.3), batch)
    _compare(mine, theirs._compute_loss(theirs.model, inputs, False), theirs, (*REWARDS, *LOGPS, "rewards/accuracies"))
    assert 0 < mine[2]["rewards/accuracies"] < 1


def test_kto_has_trls_loss_gradient_and_figures(trl, ours, trainer):
    batch = verdicts()
    theirs = trainer(
        trl.KTOTrainer,
        trl.KTOConfig,
        {"prompt": ["the", "a"], "completion": [" fox", " dog"], "label": [True, False]},
        beta=0.3,
        desirable_weight=0.7,
        undesirable_weight=1.3,
        per_device_train_batch_size=2,
    )
    theirs.model.train()
    inputs = theirs.data_collator(
        [
            {
                "prompt_ids": _prompt(row.example),
                "completion_ids": _answer(row.example),
                "KL_completion_ids": _answer(row.unrelated),
                "label": row.desirable,
            }
            for row in batch
        ]
    )
    mine = ours(KtoObjective(beta=0.3, desirable_weight=0.7, undesirable_weight=1.3), batch)
    _compare(mine, theirs._compute_loss(theirs.model, inputs, False), theirs, (*REWARDS, *LOGPS, "kl"))


def _padded(batch):
    """A batch as TRL's older trainers take it."""

    def pad(rows, value):
        return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, value)

    found = {}
    for name in ("chosen", "rejected"):
        rows = [getattr(pair, name) for pair in batch]
        found[f"{name}_input_ids"] = pad([row.input_ids for row in rows], 0)
        found[f"{name}_attention_mask"] = pad([[1] * len(row.input_ids) for row in rows], 0)
        labels = [[i if on else -100 for i, on in zip(row.input_ids, row.learned, strict=True)] for row in rows]
        found[f"{name}_labels"] = pad(labels, -100)
    return found


def test_orpo_has_trls_loss_where_the_prompt_has_nothing_to_predict(trl, ours, trainer):
    batch = pairs(prompt=1)
    theirs = trainer(trl.ORPOTrainer, trl.ORPOConfig, beta=0.3)
    loss, figures = theirs.get_batch_loss_metrics(theirs.model, _padded(batch))
    theirs._metrics = {"train": {name: [value] for name, value in figures.items()}}
    mine = ours(OrpoObjective(beta=0.3), batch)
    _compare(mine, loss, theirs, (*REWARDS, *LOGPS))
    assert mine[2]["odds_loss"] == pytest.approx(-figures["log_odds_ratio"], abs=1e-5)


def test_orpo_learns_the_answers_of_longer_prompts_and_not_the_prompts(trl, ours, trainer):
    batch = pairs()
    theirs = trainer(trl.ORPOTrainer, trl.ORPOConfig, beta=0.3)
    _, figures = theirs.get_batch_loss_metrics(theirs.model, _padded(batch))
    loss, _, _ = ours(OrpoObjective(beta=0.3), batch)
    sft, _, _ = ours(OrpoObjective(beta=1e-9), batch)
    assert loss - sft == pytest.approx(-0.3 * figures["log_odds_ratio"], abs=1e-5)
    labels = _padded(batch)["chosen_labels"]
    answers = theirs.model(
        input_ids=_padded(batch)["chosen_input_ids"],
        attention_mask=_padded(batch)["chosen_attention_mask"],
        labels=labels,
    )
    assert sft == pytest.approx(answers.loss.item(), abs=1e-5)


def test_simpo_has_trls_loss_gradient_and_figures(trl, ours, trainer):
    batch = pairs()
    theirs = trainer(trl.CPOTrainer, trl.CPOConfig, loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.2)
    loss, figures = theirs.get_batch_loss_metrics(theirs.model, _padded(batch))
    theirs._metrics = {"train": {name: [value] for name, value in figures.items()}}
    _compare(ours(SimpoObjective(beta=2.0, gamma=1.2), batch), loss, theirs, (*REWARDS, *LOGPS, "rewards/accuracies"))


def test_label_smoothing_is_trls(trl, ours, trainer, models):
    batch = pairs()
    config = DpoObjective(beta=0.3, label_smoothing=0.2)
    loss, _, _ = ours(config, batch)
    theirs = trainer(trl.CPOTrainer, trl.CPOConfig, loss_type="sigmoid", beta=0.3, label_smoothing=0.2)
    ratios = _log_ratios(models, batch)  # TRL smooths in the trainer without reference; handed ratios, it is DPO's loss
    losses, _, _ = theirs.cpo_loss(*ratios)
    assert loss == pytest.approx(losses.mean().item(), abs=1e-5)
    assert loss != pytest.approx(ours(DpoObjective(beta=0.3), batch)[0], abs=1e-2)


def _log_ratios(models, batch):
    """Of chosen and rejected answers, by transformers alone."""

    def logp(model, example):
        ids = torch.tensor([example.input_ids])
        logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        picked = logps[torch.arange(len(example.input_ids) - 1), ids[0, 1:]]
        return picked[torch.tensor(example.learned[1:])].sum()

    reference, moved = models
    with torch.no_grad():
        return [
            torch.stack([logp(moved, getattr(row, name)) - logp(reference, getattr(row, name)) for row in batch])
            for name in ("chosen", "rejected")
        ]


@pytest.mark.parametrize(
    ("config", "batch"),
    [
        (DpoObjective(), pairs()),
        (DpoObjective(loss="ipo"), pairs()),
        (OrpoObjective(), pairs()),
        (SimpoObjective(), pairs()),
        (KtoObjective(), verdicts()),
    ],
    ids=["dpo", "ipo", "orpo", "simpo", "kto"],
)
def test_no_cut_changes_loss_gradient_or_figures(ours, config, batch):
    whole, gradient, figures = ours(config, batch, size=12)
    for size in (1, 5):
        loss, other, more = ours(config, batch, size)
        assert loss == pytest.approx(whole, rel=1e-6, abs=1e-6) and more == pytest.approx(figures, abs=1e-5)
        torch.testing.assert_close(other, gradient, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", [{"type": "lora", "r": 4}, {"type": "full"}])
def test_at_the_first_step_no_reward_is_given_and_the_loss_is_log_2(train, steps, method):
    events, _ = train(pairs(), objective={"type": "dpo"}, method=method, max_steps=3, learning_rate=5e-3)
    first, *_, last = steps(events)
    assert first.loss == pytest.approx(0.693147, abs=1e-5)
    assert first.metrics["rewards/chosen"] == pytest.approx(0, abs=1e-5)
    assert abs(last.metrics["rewards/margins"]) > 1e-3


@pytest.mark.parametrize(("kind", "rate"), [("full", 2e-3), ("lora", 2e-2)])
def test_dpo_follows_trls_trajectory_for_10_steps(trl, train, steps, tiny_model, tmp_path, kind, rate):
    rows = pairs(24, seed=3)
    events, _ = train(
        rows,
        objective={"type": "dpo", "beta": 0.3},
        method={"type": kind, **({"r": 4} if kind == "lora" else {})},
        max_steps=10,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=rate,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
    )
    drawn = BatchPlan(rows=24, effective_rows=8, epochs=3.0, max_steps=10, seed=42).steps()
    order = [row for _, numbers in drawn for row in numbers]
    arguments = trl.DPOConfig(
        output_dir=str(tmp_path / "trl"),
        beta=0.3,
        max_steps=10,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=rate,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        optim="adamw_torch",
        logging_steps=1,
        save_strategy="no",
        max_length=None,
        train_sampling_strategy="sequential",
        gradient_checkpointing=False,
        report_to=[],
        use_cpu=True,
        bf16=False,
        disable_tqdm=True,
    )
    torch.manual_seed(seed_of(42, 0))
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    if kind == "lora":
        model = get_peft_model(model, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    theirs = trl.DPOTrainer(
        model=model,
        ref_model=AutoModelForCausalLM.from_pretrained(tiny_model) if kind == "full" else None,
        args=arguments,
        train_dataset=trl.Dataset.from_dict(TEXTS),
        processing_class=AutoTokenizer.from_pretrained(tiny_model),
    )
    theirs.train_dataset = trl.Dataset.from_list(_trl_pairs([rows[row] for row in order]))
    theirs.train()
    logged = [entry for entry in theirs.state.log_history if "loss" in entry]
    mine = steps(events)
    assert [step.loss for step in mine] == pytest.approx([entry["loss"] for entry in logged], abs=1e-4)
    assert [step.learning_rate for step in mine] == pytest.approx([entry["learning_rate"] for entry in logged])
    assert [step.grad_norm for step in mine] == pytest.approx([entry["grad_norm"] for entry in logged], rel=1e-3)
    margins = [entry["rewards/margins"] for entry in logged]
    assert [step.metrics["rewards/margins"] for step in mine] == pytest.approx(margins, abs=1e-4)
    assert mine[-1].loss < 0.6 < mine[0].loss


def test_kto_says_when_one_kind_of_answers_outweighs_the_other(models):
    def said(config, batch):
        events = []
        with torch.no_grad():
            make_objective(config).prepare(batch, Forward(models[0], pad_id=0, longest=64), events.append)
        return [event.message + event.remedy for event in events if isinstance(event, Warned)]

    batch = verdicts()  # 8 desirable, 4 not
    [message] = said(KtoObjective(), batch)
    assert "8 answers are desirable and 4 are not" in message and "undesirable_weight to 2:" in message
    assert said(KtoObjective(undesirable_weight=2.0), batch) == []
    [message] = said(KtoObjective(), [row for row in batch if row.desirable])
    assert "not one of 8 answers is undesirable" in message


def test_a_prompt_is_computed_once_for_both_of_its_answers(models, monkeypatch):
    batch, seen = pairs(prompt=9), []
    forward = Forward(models[1], pad_id=0, longest=64)
    decode = forward.decode
    monkeypatch.setattr(forward, "decode", lambda layout: seen.append(layout.input_ids.numel()) or decode(layout))
    make_objective(SimpoObjective()).share(batch, forward, len(batch))
    assert forward.why_padded is None
    assert sum(seen) <= sum(len(row.chosen.input_ids) + len(row.rejected.input_ids) - 9 for row in batch)


def test_the_reference_is_measured_in_smaller_pieces_where_memory_is_short(models, monkeypatch):
    batch = verdicts()
    config = KtoObjective()
    roomy, cramped = make_objective(config), make_objective(config)
    forward = Forward(models[0], pad_id=0, longest=64)
    asked = []

    class Small(Forward):
        limit = 40

        def __call__(self, groups):
            asked.append(sum(len(one.input_ids) for group in groups for one in group))
            if asked[-1] > self.limit:
                raise torch.OutOfMemoryError("out of memory")
            return super().__call__(groups)

    small = Small(models[0], pad_id=0, longest=64)
    with torch.no_grad():
        roomy.prepare(batch, forward, lambda event: None)
        cramped.prepare(batch, small, lambda event: None)
        moved = Forward(models[1], pad_id=0, longest=64)
        drifts = [objective.context(batch, moved).drift.item() for objective in (roomy, cramped)]
    assert max(asked) > 40 >= min(asked)
    assert drifts[0] == pytest.approx(drifts[1], abs=1e-5)
    monkeypatch.setattr(Small, "limit", 2)
    with torch.no_grad(), pytest.raises(FurrowError, match="one row alone") as refused:
        make_objective(config).prepare(batch, small, lambda event: None)
    assert refused.value.where.startswith("pairs.jsonl:")


@pytest.mark.parametrize(("objective", "rows"), [("dpo", pairs()), ("kto", verdicts())])
def test_the_reference_keeps_to_the_budget_of_the_training(train, steps, monkeypatch, objective, rows):
    asked, compute = [], Forward.__call__

    def counted(self, groups):
        asked.append(sum(len(one.input_ids) for group in groups for one in group))
        return compute(self, groups)

    monkeypatch.setattr(Forward, "__call__", counted)
    train(rows, objective={"type": objective}, max_steps=2, micro_batch_tokens=48)
    assert max(asked) <= 48 and len(asked) >= 6


def test_memory_that_the_reference_found_short_is_said_and_asked_for_no_more(train, steps, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = {"objective": {"type": "kto"}, "max_steps": 3, "per_device_train_batch_size": 12}
    roomy, _ = train(verdicts(), name="roomy", **settings)
    refused, compute = [], Forward.__call__

    def limited(self, groups):
        if sum(len(one.input_ids) for group in groups for one in group) > 60:
            refused.append(groups)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return compute(self, groups)

    monkeypatch.setattr(Forward, "__call__", limited)
    cramped, _ = train(verdicts(), name="cramped", **settings)
    said = [event.step for event in cramped if isinstance(event, MicroBatchShrunk)]
    assert said == [0] * len(refused) and len(said) >= 1
    assert [step.loss for step in steps(cramped)] == pytest.approx([step.loss for step in steps(roomy)], abs=1e-5)
    again, _ = train(verdicts(), name="again", **settings)
    assert not any(isinstance(event, MicroBatchShrunk) for event in again)


def test_the_drift_of_kto_is_never_below_zero(models):
    drifts, batch = [], verdicts()
    for before, now in (models, models[::-1]):
        objective = make_objective(KtoObjective())
        with torch.no_grad():
            objective.prepare(batch, Forward(before, pad_id=0, longest=64), lambda event: None)
            drifts.append(objective.context(batch, Forward(now, pad_id=0, longest=64)).drift.item())
    assert min(drifts) == 0 < max(drifts)


def test_a_resumed_run_is_measured_against_the_same_reference(train, steps):
    settings = {
        "objective": {"type": "dpo"},
        "max_steps": 6,
        "learning_rate": 1e-2,
        "save_strategy": "steps",
        "save_steps": 3,
    }
    whole, folder = train(pairs(), **settings)
    again, _ = train(pairs(), name="again", resume=folder / "checkpoints/step-00000003", **settings)
    assert [step.loss for step in steps(again)] == [step.loss for step in steps(whole)][3:]
    margins = [step.metrics["rewards/margins"] for step in steps(whole)]
    assert [step.metrics["rewards/margins"] for step in steps(again)] == margins[3:] and abs(margins[3]) > 1e-3


def test_an_adapter_that_goes_on_from_an_earlier_run_is_its_own_reference(train, steps, examples):
    _, folder = train(examples, name="sft", max_steps=5, learning_rate=1e-2)
    method = {"type": "lora", "r": 4, "init_from": str(folder / "final_model")}
    events, _ = train(pairs(), name="dpo", objective={"type": "dpo"}, method=method, max_steps=1)
    [step] = steps(events)
    assert step.loss == pytest.approx(0.693147, abs=1e-5)
    fresh, _ = train(pairs(), name="fresh", objective={"type": "dpo"}, max_steps=1)
    assert abs(step.metrics["logps/chosen"] - steps(fresh)[0].metrics["logps/chosen"]) > 1e-3
