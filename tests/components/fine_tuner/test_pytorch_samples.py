"""What the model in training answers: greedily, as it would be served, and without the training noticing."""

from __future__ import annotations

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from furrow.components.events import Evaluated, Noted, Sampled
from furrow.components.fine_tuner import SamplePrompt
from furrow.components.fine_tuner.pytorch.samples import sample

PROMPTS = [
    SamplePrompt(prompt="the quick brown", max_new_tokens=12, reference=" fox"),
    SamplePrompt(prompt="Question: what is", max_new_tokens=7),
]
DROPOUT = {"type": "lora", "r": 4, "dropout": 0.3, "target_modules": "all-linear"}


def sampled(events):
    return [event for event in events if isinstance(event, Sampled)]


def greedy(model, tokenizer, text, most):
    """The plainest way: the whole text through the model for each token, no cache."""
    ids = tokenizer(text, return_tensors="pt").input_ids
    given = ids.shape[1]
    with torch.no_grad():
        for _ in range(most):
            token = model(input_ids=ids, use_cache=False).logits[0, -1].argmax()
            if token == tokenizer.eos_token_id:
                break
            ids = torch.cat([ids, token.view(1, 1)], 1)
    return tokenizer.decode(ids[0, given:], skip_special_tokens=True).strip()


@pytest.fixture
def base(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


def test_the_training_is_bit_for_bit_the_same_with_and_without_samples(train, steps, examples):
    settings = {"eval_strategy": "steps", "eval_steps": 2, "max_steps": 5, "method": DROPOUT}
    without, plain = train(examples, examples[:4], name="plain", **settings)
    with_them, watched = train(examples, examples[:4], name="watched", samples=PROMPTS, **settings)
    assert [event.loss for event in steps(with_them)] == [event.loss for event in steps(without)]
    file = "final_model/adapter_model.safetensors"
    assert (watched / file).read_bytes() == (plain / file).read_bytes()
    assert sampled(without) == []


def test_prompts_are_answered_before_training_at_each_evaluation_and_in_the_end(train, examples):
    events, _ = train(examples, examples[:4], samples=PROMPTS, eval_strategy="steps", eval_steps=2, max_steps=5)
    said = sampled(events)
    assert [(event.step, event.prompt) for event in said] == [
        (step, each.prompt) for step in (0, 2, 4, 5) for each in PROMPTS
    ]
    assert {event.reference for event in said if event.prompt == PROMPTS[0].prompt} == {" fox"}
    assert [event.step for event in events if isinstance(event, Evaluated)] == [2, 4, 5]
    without_evaluations, _ = train(examples, name="none", samples=PROMPTS[:1], max_steps=2)
    assert [event.step for event in sampled(without_evaluations)] == [0, 2]


@pytest.mark.parametrize("method", [DROPOUT, {"type": "full"}, {"type": "prefix"}, {"type": "prompt"}], ids=str)
def test_the_last_answers_are_those_of_the_model_that_is_published(
    train, examples, base, tokenizer, tiny_model, method
):
    events, folder = train(examples, samples=PROMPTS, max_steps=6, learning_rate=0.02, method=method)
    final = str(folder / "final_model")
    model = AutoModelForCausalLM.from_pretrained(final) if method == {"type": "full"} else None
    model = (model or PeftModel.from_pretrained(base, final)).eval()
    for event, prompt in zip(sampled(events)[-2:], PROMPTS, strict=True):
        assert event.completion == greedy(model, tokenizer, prompt.prompt, prompt.max_new_tokens)
    before = AutoModelForCausalLM.from_pretrained(tiny_model).eval()
    if method == DROPOUT:  # an adapter begins as nothing, virtual tokens begin as something
        assert sampled(events)[0].completion == greedy(before, tokenizer, PROMPTS[0].prompt, 12)


def answers(model, tokenizer, prompt):
    events = []
    sample(model, tokenizer, [prompt], 1, events.append)
    return [event.completion for event in sampled(events)]


def test_what_the_base_says_of_sampling_changes_nothing(base, tokenizer):
    [plain] = answers(base, tokenizer, PROMPTS[0])
    base.generation_config.update(do_sample=True, temperature=3.0, top_k=2, repetition_penalty=9.0, num_beams=3)
    assert answers(base, tokenizer, PROMPTS[0]) == [plain]


def test_an_answer_ends_where_it_would_end_when_it_is_served(base, tokenizer):
    [whole] = answers(base, tokenizer, PROMPTS[0])
    stop = whole[3:6]
    cut = SamplePrompt(prompt=PROMPTS[0].prompt, max_new_tokens=12, stop=(stop,))
    assert answers(base, tokenizer, cut) == [whole[: whole.index(stop)].strip()]
    token = tokenizer(PROMPTS[0].prompt + whole).input_ids
    base.generation_config.eos_token_id = [0, *token]  # many chat models have several
    assert answers(base, tokenizer, PROMPTS[0]) == [""]


def test_every_module_is_put_back_into_its_mode_also_after_an_error(base, tokenizer):
    base.train()
    base.model.layers[0].eval()
    modes = [module.training for module in base.modules()]
    answers(base, tokenizer, PROMPTS[0])
    assert [module.training for module in base.modules()] == modes

    def refuse(event):
        raise ValueError

    with pytest.raises(ValueError):
        sample(base, tokenizer, PROMPTS, 1, refuse)
    assert [module.training for module in base.modules()] == modes


def test_a_prompt_that_leaves_no_room_is_left_out_and_said_once(base, tokenizer):
    base.config.max_position_embeddings = 4
    events = []
    for step in (0, 1):
        sample(base, tokenizer, PROMPTS[:1], step, events.append)
    assert [type(event) for event in events] == [Noted]
