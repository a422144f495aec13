"""The training loop against a hand-written one, and its own promises."""

from __future__ import annotations

import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, get_scheduler

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Evaluated, TrainingEnded
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan, seed_of


def test_lora_has_the_same_loss_as_a_hand_written_loop_at_each_of_30_steps(train, tiny_model, examples, steps):
    events, _ = train(
        examples,
        max_steps=30,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=3,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        warmup_steps=4,
        weight_decay=0.1,
        max_grad_norm=0.15,
        adam_epsilon=1e-2,  # so large that the length of the gradient matters to AdamW, and with it the clipping
    )
    losses, norms = _reference_losses(tiny_model, examples)
    assert [event.loss for event in steps(events)] == pytest.approx(losses, abs=1e-4)
    assert [event.grad_norm for event in steps(events)] == pytest.approx(norms, rel=1e-2)
    assert losses[-1] < losses[0] and max(norms) > 0.15


def _reference_losses(folder, examples):
    """PEFT and torch, row by row: no batches, no padding, nothing of ours but the order of the rows."""
    torch.manual_seed(seed_of(42, 0))
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    optimizer = torch.optim.AdamW(
        [p for p in model.parameters() if p.requires_grad], lr=3e-3, weight_decay=0.1, eps=1e-2
    )
    schedule = get_scheduler("cosine", optimizer, 4, 30)
    losses, norms = [], []
    model.train()
    for _, rows in BatchPlan(rows=len(examples), effective_rows=6, epochs=3, max_steps=30, seed=42).steps():
        total, count = torch.zeros(()), 0
        for row in rows:
            ids = torch.tensor([examples[row].input_ids])
            log_probabilities = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
            for position, learned in enumerate(examples[row].learned[1:]):
                if learned:
                    total = total - log_probabilities[position, ids[0, position + 1]]
                    count += 1
        (total / count).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.15)))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append((total / count).item())
    return losses, norms


@pytest.mark.parametrize("method", [{"type": "lora", "r": 4, "dropout": 0.0}, {"type": "full"}])
def test_batch_8_and_batch_2_with_accumulation_4_follow_the_same_trajectory(train, examples, method, steps):
    settings = {"max_steps": 20, "learning_rate": 1e-3, "method": method}
    whole, folder = train(examples, name="whole", per_device_train_batch_size=8, **settings)
    cut, other = train(examples, name="cut", per_device_train_batch_size=2, gradient_accumulation_steps=4, **settings)
    assert [e.loss for e in steps(cut)] == pytest.approx([e.loss for e in steps(whole)], abs=1e-5)
    assert [e.learned_tokens for e in steps(cut)] == [e.learned_tokens for e in steps(whole)]
    file = "adapter_model.safetensors" if method["type"] == "lora" else "model.safetensors"
    left, right = load_file(folder / "final_model" / file), load_file(other / "final_model" / file)
    assert all(torch.allclose(left[key], right[key], atol=1e-5) for key in left)


def test_two_runs_with_one_seed_are_equal_to_the_bit_even_with_dropout(train, examples, steps):
    settings = {"max_steps": 6, "method": {"type": "lora", "r": 4, "dropout": 0.2}}
    (first, folder), (second, other) = train(examples, name="a", **settings), train(examples, name="b", **settings)
    assert [event.loss for event in steps(first)] == [event.loss for event in steps(second)]
    name = "final_model/adapter_model.safetensors"
    assert (folder / name).read_bytes() == (other / name).read_bytes()


def test_dropout_depends_on_seed_and_step_and_not_on_who_else_draws_random_numbers(train, examples, steps):
    settings = {"max_steps": 4, "method": {"type": "lora", "r": 4, "dropout": 0.3}}
    undisturbed, _ = train(examples, name="a", **settings)
    disturbed, _ = train(examples, name="b", listener=lambda event: torch.rand(7), **settings)
    assert [event.loss for event in steps(undisturbed)] == [event.loss for event in steps(disturbed)]


def test_evaluation_loss_is_the_mean_over_all_learned_tokens_whatever_the_batch(train, examples, tiny_model):
    losses = []
    for size in (1, 7):
        events, _ = train(
            examples[:8],
            examples[8:],
            name=f"eval{size}",
            max_steps=1,
            learning_rate=1e-12,
            eval_strategy="steps",
            per_device_eval_batch_size=size,
        )
        [evaluated] = [event for event in events if isinstance(event, Evaluated)]
        assert evaluated.eval_perplexity == pytest.approx(math.exp(evaluated.eval_loss))
        losses.append(evaluated.eval_loss)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    total = count = 0.0
    for example in examples[8:]:
        ids = torch.tensor([example.input_ids])
        with torch.no_grad():
            logs = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        picked = logs[torch.arange(len(example.input_ids) - 1), ids[0, 1:]]
        mask = torch.tensor(example.learned[1:])
        total, count = total - picked[mask].sum().item(), count + int(mask.sum())
    assert losses == pytest.approx([total / count] * 2, abs=1e-5)


def test_the_best_weights_are_kept_and_not_the_last(train, examples):
    contradiction = [example._replace(input_ids=[7] * len(example.input_ids)) for example in examples[:6]]
    events, folder = train(
        examples[:8],
        contradiction,
        max_steps=12,
        learning_rate=5e-2,
        eval_strategy="steps",
        eval_steps=2,
        save_strategy="steps",
        save_steps=2,
        save_total_limit=1,
        load_best_model_at_end=True,
    )
    [ended] = [event for event in events if isinstance(event, TrainingEnded)]
    evaluations = [event for event in events if isinstance(event, Evaluated)]
    best = min(evaluations, key=lambda event: event.eval_loss)
    assert (ended.best_step, ended.best_metric) == (best.step, best.eval_loss) and best.step < 12
    kept = load_file(folder / f"checkpoints/step-{best.step:08d}/model/adapter_model.safetensors")
    final = load_file(folder / "final_model/adapter_model.safetensors")
    assert all(torch.equal(kept[key], final[key]) for key in kept)
    assert len(list((folder / "checkpoints").iterdir())) <= 2


def test_a_loss_that_is_not_finite_stops_the_run_and_names_step_and_rows(train, examples, tmp_path):
    with pytest.raises(FurrowError, match=r"at step \d+ .*rows\.jsonl:\d+"):
        train(examples, max_steps=30, learning_rate=1e30, max_grad_norm=0.0, method={"type": "full"})
    assert not (tmp_path / "run/final_model").exists()


def test_every_row_is_seen_once_an_epoch_and_each_epoch_has_its_own_order():
    plan = BatchPlan(rows=10, effective_rows=4, epochs=2, max_steps=-1, seed=1)
    drawn = [rows for _, rows in plan.steps()]
    assert [len(rows) for rows in drawn] == [4, 4, 2, 4, 4, 2]
    epochs = [[row for step in half for row in step] for half in (drawn[:3], drawn[3:])]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 2
    assert epochs[0] != epochs[1]


def test_target_modules_that_the_model_does_not_have_are_refused_with_those_it_has(train, examples):
    with pytest.raises(RequestError, match=r"no linear layer 'q_porj'[\s\S]*q_proj"):
        train(examples, method={"type": "lora", "target_modules": ["q_porj"]})


def test_a_device_that_is_not_there_is_refused_with_those_that_are(train, examples):
    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(RequestError, match=r"'cuda' is asked for[\s\S]*there is: .*cpu"):
        train(examples, hardware={"device": "cuda"})


def test_gradient_checkpointing_changes_memory_and_not_the_loss(train, examples, steps):
    plain, _ = train(examples, name="plain", max_steps=3)
    hardware = {"device": "cpu", "optimization": {"mixed_precision": "no", "gradient_checkpointing": True}}
    saving, _ = train(examples, name="saving", max_steps=3, hardware=hardware)
    assert [e.loss for e in steps(saving)] == pytest.approx([e.loss for e in steps(plain)], abs=1e-6)


def test_runs_of_different_precision_follow_one_another_in_a_process(train, examples, steps):
    plain, _ = train(examples, name="plain", max_steps=4)
    hardware = {"device": "cpu", "optimization": {"mixed_precision": "bf16"}}
    rounded, folder = train(examples, name="rounded", max_steps=4, hardware=hardware)
    assert [e.loss for e in steps(rounded)] == pytest.approx([e.loss for e in steps(plain)], rel=0.02)
    assert [e.loss for e in steps(rounded)] != [e.loss for e in steps(plain)]
    adapter = load_file(folder / "final_model/adapter_model.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in adapter.values())
