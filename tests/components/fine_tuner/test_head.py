"""The head in chunks against torch's cross-entropy on full logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    FalconH1Config,
    FalconH1ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    OPTConfig,
    OPTForCausalLM,
)

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.engine import head as head_module
from furrow.components.fine_tuner.pytorch.engine.head import Head, summed_nll, token_logps

SIZES = {
    "vocab_size": 120,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


@pytest.fixture
def chunked(monkeypatch):
    """Chunks of 7 rows, so that 20 rows take three."""
    monkeypatch.setattr(head_module, "CHUNK_LOGITS", 7 * 120)


def case(bias=True, softcap=None, scale=1.0, dtype=torch.float32, std=1.0):
    torch.manual_seed(3)
    module = torch.nn.Linear(16, 120, bias=bias).to(dtype)
    torch.nn.init.normal_(module.weight, std=std)
    hidden = torch.randn(20, 16, dtype=dtype, requires_grad=True)
    return Head(module, softcap, scale), hidden, torch.randint(0, 120, (20,))


def plain(head, hidden, targets, reduction="sum"):
    """Full logits by torch alone."""
    logits = F.linear(hidden, head.module.weight, head.module.bias).float() * head.scale
    if head.softcap:
        logits = torch.tanh(logits / head.softcap) * head.softcap
    return F.cross_entropy(logits, targets, reduction=reduction)


def gradients(value, head, hidden):
    asked = [tensor for tensor in (hidden, *head.module.parameters()) if tensor.requires_grad]
    return torch.autograd.grad(value, asked)


VARIANTS = [{}, {"bias": False}, {"softcap": 5.0}, {"scale": 0.25}, {"softcap": 3.0, "scale": 2.0}, {"std": 30.0}]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("trained", [True, False])
def test_the_summed_loss_and_its_gradients_are_those_of_full_logits(chunked, variant, trained):
    head, hidden, targets = case(**variant)
    head.module.requires_grad_(trained)
    expected = plain(head, hidden, targets)
    found = summed_nll(hidden, head, targets)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(gradients(found * 0.3, head, hidden), gradients(expected * 0.3, head, hidden), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("known", [True, False])
def test_a_weighted_sum_and_its_gradients_are_those_of_full_logits(chunked, variant, known):
    head, hidden, targets = case(**variant)
    weights = torch.rand(20)
    expected = (plain(head, hidden, targets, reduction="none") * weights).sum()
    asked = head if known else Head(torch.nn.Sequential(head.module), head.softcap, head.scale)
    asked.module.out_features = 120
    found = summed_nll(hidden, asked, targets, weights)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(gradients(found * 0.3, head, hidden), gradients(expected * 0.3, head, hidden), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("trained", [True, False])
def test_log_probabilities_take_any_gradient_per_token(chunked, variant, trained):
    head, hidden, targets = case(**variant)
    head.module.requires_grad_(trained)
    weights = torch.randn(20)
    expected = -plain(head, hidden, targets, reduction="none")
    found = token_logps(hidden, head, targets)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for mine, theirs in zip(
        gradients((found * weights).sum(), head, hidden),
        gradients((expected * weights).sum(), head, hidden),
        strict=True,
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6 * float(theirs.abs().max()))


def test_sums_stay_in_float32_where_the_products_are_bf16(chunked):
    head, hidden, targets = case()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = summed_nll(hidden, head, targets)
    (gradient,) = torch.autograd.grad(found, hidden, retain_graph=True)
    logits = (hidden.bfloat16() @ head.module.weight.bfloat16().t()).float() + head.module.bias
    expected = F.cross_entropy(logits, targets, reduction="sum")
    assert found.dtype == torch.float32 and gradient.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, hidden)[0], rtol=2e-2, atol=2e-2)


def test_small_gradients_survive_in_fp16():
    head, hidden, targets = case(dtype=torch.float16, bias=False)
    head.module.weight.data.mul_(1e-3)  # every probability is 1/120; with 49,152 words they would be 2e-5
    (found,) = torch.autograd.grad(summed_nll(hidden, head, targets), hidden)
    full = hidden.detach().float().requires_grad_()
    logits = full @ head.module.weight.detach().float().t()
    (expected,) = torch.autograd.grad(F.cross_entropy(logits, targets, reduction="sum"), full)
    assert float((found.float() - expected).norm() / expected.norm()) < 2e-3


class Largest(TorchDispatchMode):
    """Remembers how many values the largest tensor has that any operation made."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else [found]:
            if isinstance(one, torch.Tensor):
                self.values = max(self.values, one.numel())
        return found


@pytest.mark.parametrize("loss", [summed_nll, token_logps])
@pytest.mark.parametrize("adapted", [False, True])
def test_no_tensor_is_ever_as_large_as_the_logits(chunked, loss, adapted):
    head, hidden, targets = case()
    head.module.requires_grad_(False)
    if adapted:
        head = Head(torch.nn.Sequential(head.module))  # not a plain matrix: goes through the module
        head.module.out_features = 120
    with Largest() as seen:
        loss(hidden, head, targets).sum().backward()
    assert max(7 * 120, 16 * 120) >= seen.values >= 7 * 16
    assert seen.values < hidden.shape[0] * 120


@pytest.mark.parametrize("loss", [summed_nll, token_logps])
def test_no_rows_give_no_loss_and_a_gradient_of_zero(loss):
    head, hidden, targets = case()
    value = loss(hidden[:0], head, targets[:0]).sum()
    value.backward()
    assert value == 0 and not hidden.grad.any()


def test_nothing_is_kept_for_a_gradient_that_nobody_will_ask_for():
    head, hidden, targets = case()
    with torch.no_grad():
        assert not summed_nll(hidden, head, targets).requires_grad
        assert not token_logps(hidden, head, targets).requires_grad


MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES)),
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=True)),
    "cohere multiplies": lambda: CohereForCausalLM(CohereConfig(**SIZES, logit_scale=0.3)),
    "granite divides": lambda: GraniteForCausalLM(GraniteConfig(**SIZES, logits_scaling=4.0)),
    "gemma2 caps": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=0.5)),
    "opt has a decoder within its decoder": lambda: OPTForCausalLM(
        OPTConfig(
            vocab_size=120,
            hidden_size=16,
            ffn_dim=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            word_embed_proj_dim=16,
        )
    ),
    "falcon-h1 does what only its code says": lambda: FalconH1ForCausalLM(
        FalconH1Config(**SIZES, head_dim=8, lm_head_multiplier=7.0, mamba_d_ssm=16, mamba_n_heads=2, mamba_d_state=8)
    ),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_the_loss_of_a_model_is_what_the_model_says_itself(chunked, make):
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    ids = torch.randint(0, 120, (1, 21))
    logits = model(input_ids=ids).logits[0, :-1].float()
    expected = F.cross_entropy(logits, ids[0, 1:], reduction="sum")
    head = Head.of(model)
    hidden = getattr(model, model.base_model_prefix)(input_ids=ids).last_hidden_state[0, :-1]
    found = summed_nll(hidden, head, ids[0, 1:])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    weight = model.get_input_embeddings().weight
    theirs, mine = torch.autograd.grad(expected, weight), torch.autograd.grad(found, weight)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "method",
    [
        LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False),
        LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]),
        LoraConfig(r=2, target_modules=["q_proj"]),
    ],
    ids=["adapter on the head", "head trained as a whole", "head frozen"],
)
def test_a_head_with_an_adapter_is_the_head_that_peft_makes(chunked, method):
    torch.manual_seed(0)
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**SIZES)), method)
    if method.modules_to_save:
        with torch.no_grad():
            model.get_base_model().lm_head.modules_to_save["default"].weight.add_(0.1 * torch.randn(120, 16))
    head = Head.of(model)
    ids = torch.randint(0, 120, (1, 21))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def both():
        logits = model(input_ids=ids).logits[0, :-1].float()
        hidden = model.get_base_model().model(input_ids=ids).last_hidden_state[0, :-1]
        return F.cross_entropy(logits, ids[0, 1:], reduction="sum"), summed_nll(hidden, head, ids[0, 1:])

    expected, found = both()
    torch.testing.assert_close(found, expected)
    theirs = torch.autograd.grad(expected, trained, allow_unused=True)
    mine = torch.autograd.grad(found, trained, allow_unused=True)
    assert any(gradient is not None and gradient.any() for gradient in mine)
    torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    with model.disable_adapter():
        expected, found = both()
    torch.testing.assert_close(found, expected)


def test_a_head_made_under_autocast_lets_its_adapter_learn_from_the_first_rows():
    settings = LoraConfig(r=2, target_modules=["lm_head"], init_lora_weights=False)
    model = get_peft_model(LlamaForCausalLM(LlamaConfig(**SIZES)), settings)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        summed_nll(torch.randn(5, 16), Head.of(model), torch.arange(5)).backward()
    assert all(one.grad is not None and one.grad.any() for one in trained)


def test_a_model_that_predicts_no_token_is_refused():
    with pytest.raises(RequestError, match="no output embedding"):
        Head.of(LlamaForCausalLM(LlamaConfig(**SIZES)).model)
