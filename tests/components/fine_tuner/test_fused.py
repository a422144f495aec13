"""Fused modules against the modules of transformers and PEFT that they stand in for."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SmolLM3Config,
    SmolLM3ForCausalLM,
)

from furrow.components.events import Noted
from furrow.components.fine_tuner.pytorch.engine import fused as fused_package
from furrow.components.fine_tuner.pytorch.engine.fused import fuse

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
    "llama, biases": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, attention_bias=True, mlp_bias=True)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES, head_dim=8)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=3)),
    "gemma3": lambda: Gemma3ForCausalLM(
        Gemma3TextConfig(**SIZES, head_dim=8, layer_types=["sliding_attention", "full_attention"], sliding_window=3)
    ),
    "smollm3": lambda: SmolLM3ForCausalLM(SmolLM3Config(**SIZES, no_rope_layers=[1, 0])),
    "phi3": lambda: Phi3ForCausalLM(Phi3Config(**SIZES)),
}
EVERYTHING = {"attention layers": 2, "adapters": 14, "gated MLPs": 2, "norms": 5}
RECOGNISED = {
    "llama": EVERYTHING,
    "llama, biases": EVERYTHING,
    "qwen2": EVERYTHING,
    "qwen3": {"adapters": 14, "gated MLPs": 2, "norms": 9},  # norms of queries and keys lie between
    "mistral": EVERYTHING,
    "gemma3": {"adapters": 14, "norms": 13},  # gelu
    "smollm3": {**EVERYTHING, "attention layers": 1},  # one layer has no rotary positions
    "phi3": {"adapters": 8, "norms": 5},
}
IDS = torch.arange(3, 17).reshape(2, 7)


def adapted(make, **settings):
    torch.manual_seed(0)
    model = make()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    settings = {"r": 4, "lora_alpha": 6, "target_modules": "all-linear", "init_lora_weights": False, **settings}
    return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))


def outcome(model, seed=5, context=nullcontext):
    """The logits, and the gradients of everything that has one."""
    model.zero_grad()
    torch.manual_seed(seed)
    with context():
        logits = model(input_ids=IDS).logits
    weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (logits * weights).sum().backward()
    return logits.detach(), {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_equal(found, expected, tolerance=1e-5):
    torch.testing.assert_close(found[0], expected[0], rtol=tolerance, atol=tolerance * float(expected[0].abs().max()))
    assert found[1].keys() == expected[1].keys()
    for name, gradient in expected[1].items():
        torch.testing.assert_close(
            found[1][name], gradient, rtol=1e-3, atol=tolerance * float(gradient.abs().max()), msg=name
        )


@pytest.mark.parametrize("name", MODELS)
def test_a_fused_model_computes_what_it_computed_before(name):
    model = adapted(MODELS[name])
    expected = outcome(model)
    fused = fuse(model)
    assert dict(fused.counts) == RECOGNISED[name]
    assert_equal(outcome(model), expected)
    fused.restore()
    assert not any("forward" in module.__dict__ for module in model.modules())
    found = outcome(model)
    assert torch.equal(found[0], expected[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"lora_dropout": 0.3},
        {"use_dora": True},
        {"use_rslora": True},
        {"lora_bias": True},
        {"target_modules": ["q_proj", "up_proj"]},
        {"target_modules": ["k_proj", "down_proj"], "rank_pattern": {"k_proj": 2}},
        {"target_modules": ["q_proj"], "modules_to_save": ["up_proj"]},
        {"bias": "lora_only", "target_modules": ["q_proj", "k_proj"]},
    ],
    ids=str,
)
def test_every_kind_of_adapter_comes_out_as_peft_has_it(settings):
    model = adapted(MODELS["llama, biases"], **settings).train()
    expected = outcome(model)
    fuse(model)
    assert_equal(outcome(model), expected)


def test_dropout_draws_its_zeros_for_every_adapter_as_before():
    model = adapted(MODELS["llama"], lora_dropout=0.5).train()
    expected = outcome(model)
    fuse(model)
    assert_equal(outcome(model), expected)
    assert not torch.allclose(outcome(model, seed=6)[0], expected[0])
    model.eval()
    quiet = outcome(model)
    assert torch.equal(outcome(model, seed=6)[0], quiet[0])


def test_adapters_can_be_switched_off_merged_and_exchanged_under_way():
    model = adapted(MODELS["llama"])
    model.add_adapter("other", LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False))

    def states():
        with torch.no_grad():
            with model.disable_adapter():
                off = model(IDS).logits
            model.set_adapter("other")
            other = model(IDS).logits
            model.set_adapter("default")
            model.merge_adapter()
            merged = model(IDS).logits
            model.unmerge_adapter()
        return off, other, merged

    expected = states()
    fuse(model)
    torch.testing.assert_close(states(), expected, rtol=1e-4, atol=1e-4)


def test_a_model_that_is_trained_as_a_whole_keeps_its_gradients():
    torch.manual_seed(0)
    model = MODELS["llama"]()
    expected = outcome(model)
    fused = fuse(model)
    assert dict(fused.counts) == {"attention layers": 2, "gated MLPs": 2, "norms": 5}
    assert_equal(outcome(model), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_computation_is_left_to_the_originals(dtype):
    model = adapted(MODELS["llama"])
    context = lambda: torch.autocast("cpu", dtype=dtype)  # noqa: E731
    expected = outcome(model, context=context)
    fuse(model)
    assert_equal(outcome(model, context=context), expected, tolerance=2e-2)
    half = adapted(MODELS["llama"]).to(dtype)
    assert not fuse(half).counts


def test_under_autocast_nothing_is_counted_that_is_not_taken():
    model = adapted(MODELS["llama"])
    context = lambda: torch.autocast("cpu", dtype=torch.bfloat16)  # noqa: E731
    expected = outcome(model, context=context)
    assert dict(fuse(model, autocast=True).counts) == {"attention layers": 2, "norms": 5}
    assert_equal(outcome(model, context=context), expected, tolerance=2e-2)


@pytest.mark.parametrize(("precision", "said"), [("bf16", []), ("no", ["computed in fused form: 2 attention layers"])])
def test_a_run_says_what_is_fused_and_in_sixteen_bits_nothing_is(train, examples, precision, said):
    hardware = {"device": "cpu", "optimization": {"mixed_precision": precision}}
    events, _ = train(examples, max_steps=1, hardware=hardware)
    notes = [event.message for event in events if isinstance(event, Noted) and "fused" in event.message]
    assert [note[: len(start)] for note, start in zip(notes, said, strict=True)] == said


def test_layers_computed_again_in_the_backward_pass_give_the_same_gradients():
    model = adapted(MODELS["llama"]).train()
    expected = outcome(model)
    model.enable_input_require_grads()
    model.activation_checkpointing_enable({"use_reentrant": False})
    fuse(model)
    assert_equal(outcome(model), expected)


def test_saving_and_the_state_dictionary_do_not_notice(tmp_path):
    model = adapted(MODELS["llama"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fuse(model)
    after = model.state_dict()
    assert after.keys() == before.keys() and all(torch.equal(after[name], before[name]) for name in before)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()


def test_a_norm_or_an_mlp_that_computes_something_else_is_left_alone():
    class OtherRMSNorm(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.variance_epsilon = torch.nn.Parameter(torch.ones(8)), 1e-6

        def forward(self, x):
            return self.weight * x / (x.pow(2).mean(-1, keepdim=True).sqrt() + self.variance_epsilon + 0.1)

    model = adapted(MODELS["llama"])
    model.get_base_model().model.norm = OtherRMSNorm()
    model.get_base_model().model.layers[0].mlp.act_fn = torch.nn.GELU()
    assert dict(fuse(model).counts) == {**EVERYTHING, "norms": 4, "gated MLPs": 1}


def test_layers_that_turn_out_to_read_two_inputs_are_computed_apart():
    class Cross(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.q_proj, self.k_proj, self.v_proj = (torch.nn.Linear(8, 8) for _ in range(3))

        def forward(self, x, y):
            return self.q_proj(x) + self.k_proj(y) * self.v_proj(y)

    torch.manual_seed(0)
    settings = LoraConfig(r=2, target_modules=["q_proj", "k_proj", "v_proj"], init_lora_weights=False)
    model = get_peft_model(Cross(), settings)
    x, y = torch.randn(3, 8), torch.randn(3, 8)
    expected = model(x, y)
    assert dict(fuse(model).counts) == {"adapters": 3}
    for _ in range(3):
        torch.testing.assert_close(model(x, y), expected)


def test_a_tensor_as_large_as_the_inner_mlp_is_kept_twice_and_no_more():
    """gate and up; transformers' MLP with PEFT's adapters keeps four."""
    model = adapted(MODELS["llama"])
    layer = model.get_base_model().model.layers[0].mlp
    kept = []

    def pack(tensor):
        kept.append(tensor.shape[-2:] == (9, 48))
        return tensor

    def count():
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layer(torch.randn(1, 9, 32, requires_grad=True))
        return sum(kept)

    assert count() == 4
    fuse(model)
    assert count() == 2


def test_functions_have_the_gradients_that_differences_say():
    from furrow.components.fine_tuner.pytorch.engine.fused.linear import Linears
    from furrow.components.fine_tuner.pytorch.engine.fused.norm import RMSNorm
    from furrow.components.fine_tuner.pytorch.engine.fused.rotary import Rotary
    from furrow.components.fine_tuner.pytorch.engine.fused.swiglu import GatedMLP, SwiGLU

    def drawn(*shape, grad=True):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)

    torch.manual_seed(0)
    check = torch.autograd.gradcheck
    assert check(lambda x, w: RMSNorm.apply(x, w, 1e-5, 1.0), (drawn(2, 3, 4), drawn(4)))
    assert check(SwiGLU.apply, (drawn(3, 4), drawn(3, 4)))
    cos, sin = drawn(1, 3, 1, 4, grad=False), drawn(1, 3, 1, 4, grad=False)
    assert check(lambda x: Rotary.apply(x, cos, sin), (drawn(1, 3, 2, 4),))
    w, v, own = drawn(5, 4, grad=False), drawn(3, 4, grad=False), drawn(2, 4)
    assert check(
        lambda x, a, b, c, d: Linears.apply(x, (0.5, 2.0), w, None, a, b, None, v, None, c, d, own),
        (drawn(2, 4), drawn(2, 4), drawn(5, 2), drawn(1, 4), drawn(3, 1)),
    )
    g, u, o = drawn(5, 4, grad=False), drawn(5, 4, grad=False), drawn(4, 5, grad=False)
    assert check(
        lambda x, a, b, c, d: GatedMLP.apply(
            x, (0.5, 0.0, 2.0), g, None, a, b, None, u, None, None, None, None, o, None, c, d, None
        ),
        (drawn(2, 4), drawn(2, 4), drawn(5, 2), drawn(1, 5), drawn(4, 1)),
    )


def test_what_was_replaced_can_be_said_in_a_line():
    model = adapted(MODELS["llama"])
    assert str(fuse(model)) == "2 attention layers, 14 adapters, 2 gated MLPs, 5 norms"
    assert str(fuse(torch.nn.Linear(2, 2))) == "nothing"
    assert str(fuse(model)) == "nothing"
    assert fused_package.fuse is fuse
