"""Rows one after the other against each row alone, in the architectures of transformers."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    NemotronConfig,
    NemotronForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from furrow.components.fine_tuner.pytorch.engine import attention
from furrow.components.fine_tuner.pytorch.engine.layout import Span, flat
from furrow.components.records import Example

SIZES = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}

MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=None)),
    "mistral, window 6": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=6)),
    "gemma3, window 6": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, head_dim=8, sliding_window=6, layer_types=["sliding_attention", "full_attention"])
    ),
    "smollm3": lambda: SmolLM3ForCausalLM(SmolLM3Config(**SIZES)),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**SIZES)),
}


def drawn(make):
    """Weights so large that a token that sees another row could not go unnoticed."""
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model


def row(*ids):
    return Example(list(ids), [True] * len(ids), "here")


ROWS = [row(*range(3, 17)), row(50, 51, 52), row(*range(60, 69)), row(7)]


def flat_states(model, groups):
    layout = flat(groups, torch.device("cpu"))
    hidden = model.model(
        input_ids=layout.input_ids, position_ids=layout.position_ids, use_cache=False, furrow_spans=layout.spans
    ).last_hidden_state[0]
    return hidden, layout


def alone(model, example):
    return model.model(input_ids=torch.tensor([example.input_ids]), use_cache=False).last_hidden_state[0]


def weight_gradients(model, value):
    model.zero_grad()
    value.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_rows_beside_one_another_are_what_each_is_alone(make):
    model = drawn(make)
    separate = [alone(model, example) for example in ROWS]
    mask = torch.randn(27, 32)
    theirs = weight_gradients(model, (torch.cat(separate) * mask).sum())
    assert attention.supports_flat(model, 14) is None
    attention.use(model)
    hidden, _ = flat_states(model, [(example,) for example in ROWS])
    torch.testing.assert_close(hidden, torch.cat(separate), rtol=1e-5, atol=1e-5)
    mine = weight_gradients(model, (hidden * mask).sum())
    assert mine.keys() == theirs.keys()
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-5 * float(theirs[name].abs().max()))


def test_what_variable_length_attention_is_told_is_made_once_for_a_micro_batch_and_anew_for_another():
    spans = (Span(0, 3), Span(3, 7, 0, 3), Span(7, 9, 0, 3))
    rows = attention._VarlenRows.of(spans, torch.device("cpu"))
    assert attention._VarlenRows.of(spans, torch.device("cpu")) is rows
    assert rows.q_bounds.tolist() == [0, 3, 7, 9] and rows.q_longest == 4
    assert rows.k_bounds.tolist() == [0, 3, 10, 15] and rows.k_longest == 7
    assert rows.seen.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 7, 8]
    other = attention._VarlenRows.of((Span(0, 4), Span(4, 9)), torch.device("cpu"))
    assert other.k_bounds.tolist() == [0, 4, 9] and other.seen is None


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_answers_that_share_their_prompt_are_what_each_is_alone(make):
    model = drawn(make)
    prompt = range(20, 29)
    pair = row(*prompt, 40, 41, 42), row(*prompt, 50, 51, 52, 53, 54)
    separate = [alone(model, example) for example in pair]
    mask = torch.randn(2, 32)
    theirs = weight_gradients(model, (torch.stack([one[-1] for one in separate]) * mask).sum())
    attention.use(model)
    hidden, layout = flat_states(model, [(row(90, 91),), pair])
    assert layout.input_ids.shape[1] == 2 + 9 + 3 + 5
    last = hidden[layout.last[1:]]
    torch.testing.assert_close(last, torch.stack([one[-1] for one in separate]), rtol=1e-5, atol=1e-5)
    mine = weight_gradients(model, (last * mask).sum())
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-5 * float(theirs[name].abs().max()))


def test_layers_computed_again_in_the_backward_pass_find_the_same_rows():
    model = drawn(MODELS["llama"])
    attention.use(model)
    hidden, _ = flat_states(model, [(example,) for example in ROWS])
    theirs = weight_gradients(model, hidden.square().sum())
    model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    hidden, _ = flat_states(model, [(example,) for example in ROWS])
    mine = weight_gradients(model, hidden.square().sum())
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, theirs[name])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_under_autocast_rows_are_what_sdpa_makes_of_them(dtype):
    model = drawn(MODELS["llama"])
    with torch.autocast("cpu", dtype=dtype):
        separate = torch.cat([alone(model, example) for example in ROWS])
        theirs = weight_gradients(model, separate.sum())
        attention.use(model)
        hidden, _ = flat_states(model, [(example,) for example in ROWS])
        mine = weight_gradients(model, hidden.sum())
    assert hidden.dtype == separate.dtype
    assert float((hidden - separate).detach().norm() / separate.detach().norm()) < 2e-2
    assert mine.keys() == theirs.keys()


def test_padded_batches_and_generation_go_on_as_before():
    model = drawn(MODELS["llama"])
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    settings = {"max_new_tokens": 6, "do_sample": False, "attention_mask": mask[:1]}
    before = model(input_ids=ids, attention_mask=mask).logits, model.generate(ids[:1], **settings)
    attention.use(model)
    after = model(input_ids=ids, attention_mask=mask).logits, model.generate(ids[:1], **settings)
    torch.testing.assert_close(after[0][mask.bool()], before[0][mask.bool()])
    assert torch.equal(after[1], before[1])


def test_no_mask_is_made_for_a_line_of_tokens(monkeypatch):
    model = drawn(MODELS["mistral, window 6"])
    attention.use(model)
    monkeypatch.setattr(attention, "sdpa_mask", lambda *_, **__: pytest.fail("a mask was made"))
    flat_states(model, [(example,) for example in ROWS])


def test_asking_a_model_leaves_it_as_it_was():
    model = drawn(MODELS["llama"]).train()
    ids = torch.tensor([[5, 6, 7, 8]])
    before = model(input_ids=ids).logits
    assert attention.supports_flat(model, 9) is None
    assert model.training and model.config._attn_implementation == "sdpa"
    assert torch.equal(model(input_ids=ids).logits, before)


REFUSED = {
    "caps the logits of its attention": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8)),
    "come out differently beside one another": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=120, hidden_size=32, num_hidden_layers=1)
    ),
    "by [0-9]": lambda: NemotronForCausalLM(NemotronConfig(**SIZES)),  # hands no keyword down to its attention
    "depend on the longest row beyond 8 tokens": lambda: LlamaForCausalLM(
        LlamaConfig(
            **SIZES,
            rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4},
            max_position_embeddings=8,
        )
    ),
}


@pytest.mark.parametrize(("reason", "make"), REFUSED.items(), ids=REFUSED.keys())
def test_a_model_that_cannot_have_rows_beside_one_another_is_refused_with_the_reason(reason, make):
    assert re.search(reason, attention.supports_flat(drawn(make), 20) or "")


def test_rows_longer_than_the_window_lie_flat_only_where_the_attention_is_told_of_it(monkeypatch):
    model = drawn(MODELS["gemma3, window 6"])
    assert attention.supports_flat(model, 20) is None
    monkeypatch.setattr(attention._Windows, "note", lambda module, window: None)
    assert "does not tell its attention" in attention.supports_flat(model, 20)
    assert attention.supports_flat(model, 6) is None


@pytest.mark.parametrize("window", [None, 3])
def test_attention_equals_one_masked_product_over_the_whole_line(window):
    torch.manual_seed(1)
    spans = (Span(0, 5), Span(5, 9, 0, 5), Span(9, 10), Span(10, 16))
    owner = [0] * 5 + [1] * 4 + [2] + [3] * 6
    position = [*range(5), *range(5, 9), 0, *range(6)]
    allowed = torch.tensor(
        [
            [
                (owner[j] == owner[i] or (owner[i] == 1 and owner[j] == 0))
                and position[j] <= position[i]
                and (window is None or position[j] > position[i] - window)
                for j in range(16)
            ]
            for i in range(16)
        ]
    )
    tensors = [torch.randn(1, heads, 16, 8, requires_grad=True) for heads in (4, 2, 2)]
    expected = F.scaled_dot_product_attention(*tensors, attn_mask=allowed, scale=0.5, enable_gqa=True).transpose(1, 2)
    found = attention.attend(*tensors, spans, scale=0.5, window=window)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), tensors), torch.autograd.grad((expected * weights).sum(), tensors)
    )
