"""Each optimiser against its own library, or a step computed by hand; and which weights it treats in which way."""

from __future__ import annotations

import json
import math

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.optimizers import create_loraplus_optimizer
from transformers import AutoModelForCausalLM
from transformers.optimization import Adafactor

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.method import FullMethod, LoraMethod, LoraplusMethod
from furrow.components.fine_tuner.pytorch.optimizing.lion import Lion
from furrow.components.fine_tuner.pytorch.optimizing.optimizers import check_optimizer, make_optimizer, optimizer_notes
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig

CPU = torch.device("cpu")


def arguments(**given):
    return TrainingArgsConfig.model_validate_json(json.dumps({"learning_rate": 1e-2, **given}))


def model_and_gradients(folder, steps=5):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    gradients = [
        [torch.randn(weight.shape, generator=generator) for weight in model.parameters()] for _ in range(steps)
    ]
    return model, gradients


def follow(model, optimizer, gradients):
    for step in gradients:
        for weight, gradient in zip(model.parameters(), step, strict=True):
            weight.grad = gradient.clone()
        optimizer.step()
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def split(model, decay):
    return [
        {"params": [weight for weight in model.parameters() if weight.ndim > 1], "weight_decay": decay},
        {"params": [weight for weight in model.parameters() if weight.ndim == 1], "weight_decay": 0.0},
    ]


def of_bitsandbytes(name):
    return lambda groups: getattr(pytest.importorskip("bitsandbytes").optim, name)(groups, lr=1e-2, betas=(0.8, 0.95))


REFERENCES = {
    "adamw": ({"adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-3},
              lambda groups: torch.optim.AdamW(groups, lr=1e-2, betas=(0.8, 0.95), eps=1e-3)),
    "adamw_8bit": ({"adam_beta1": 0.8, "adam_beta2": 0.95}, of_bitsandbytes("AdamW8bit")),
    "adafactor": ({}, lambda groups: Adafactor(groups, lr=1e-2, scale_parameter=False, relative_step=False)),
    "lion": ({"adam_beta1": 0.8, "adam_beta2": 0.95}, of_bitsandbytes("Lion")),
    "sgd": ({"momentum": 0.5}, lambda groups: torch.optim.SGD(groups, lr=1e-2, momentum=0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFERENCES)
def test_an_optimiser_moves_the_weights_as_its_library_does_and_only_matrices_decay(name, tiny_model):
    given, reference = REFERENCES[name]
    ours, gradients = model_and_gradients(tiny_model)
    theirs, _ = model_and_gradients(tiny_model)
    wanted = follow(theirs, reference(split(theirs, 0.1)), gradients)
    made = make_optimizer(ours, arguments(optim=name, weight_decay=0.1, **given), FullMethod(), CPU)
    moved = follow(ours, made, gradients)
    assert torch.allclose(moved, wanted, atol=2e-6)


def test_lion_takes_the_step_of_the_paper():
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = Lion([weight], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    weight.grad = torch.tensor([3.0, -1.0])
    optimizer.step()  # the average is zero: the sign of the gradient, after a decay of 0.1 · 0.5
    assert weight.tolist() == pytest.approx([1.0 * 0.95 - 0.1, -2.0 * 0.95 + 0.1])
    weight.grad = torch.tensor([-0.2, 5.0])
    optimizer.step()  # averages 0.03 and -0.01; 0.9 · 0.03 - 0.1 · 0.2 = 0.007 > 0 although the gradient is negative
    assert weight.tolist() == pytest.approx([0.85 * 0.95 - 0.1, -1.8 * 0.95 - 0.1])
    assert optimizer.state[weight]["average"].tolist() == pytest.approx([0.99 * 0.03 - 0.002, -0.0099 + 0.05])


def test_lion_forgets_faster_than_adamw_unless_told():
    assert arguments(optim="lion").adam_beta2 == 0.99
    assert arguments(optim="lion_32bit", adam_beta2=0.95).adam_beta2 == 0.95
    assert arguments(optim="adamw").adam_beta2 == 0.999


def test_muon_has_the_hidden_matrices_and_adamw_the_rest(tiny_model):
    ours, gradients = model_and_gradients(tiny_model)
    theirs, _ = model_and_gradients(tiny_model)
    named = dict(theirs.named_parameters())
    hidden = {name for name, weight in named.items() if weight.ndim == 2 and "embed_tokens" not in name}
    assert len(hidden) == 14 and all("layers." in name for name in hidden)
    muon = torch.optim.Muon(
        [named[name] for name in hidden], lr=1e-2, momentum=0.9, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"
    )
    rest = [weight for name, weight in named.items() if name not in hidden]
    groups = [{"params": [weight], "weight_decay": 0.1 * (weight.ndim > 1)} for weight in rest]
    adamw = torch.optim.AdamW(groups, lr=1e-2)
    for step in gradients:
        for weight, gradient in zip(theirs.parameters(), step, strict=True):
            weight.grad = gradient.clone()
        muon.step()
        adamw.step()
    made = make_optimizer(ours, arguments(optim="muon", momentum=0.9, weight_decay=0.1), FullMethod(), CPU)
    moved = follow(ours, made, gradients)
    assert torch.allclose(moved, follow(theirs, muon, []), atol=1e-6)


@pytest.mark.parametrize("name", [*REFERENCES, "muon"])
def test_the_state_goes_on_exactly_in_another_optimiser(name, tiny_model):
    whole, gradients = model_and_gradients(tiny_model)
    settings = arguments(optim=name, weight_decay=0.1)
    wanted = follow(whole, make_optimizer(whole, settings, FullMethod(), CPU), gradients)
    halves, _ = model_and_gradients(tiny_model)
    first = make_optimizer(halves, settings, FullMethod(), CPU)
    follow(halves, first, gradients[:2])
    second = make_optimizer(halves, settings, FullMethod(), CPU)
    second.load_state_dict(first.state_dict())
    assert torch.equal(follow(halves, second, gradients[2:]), wanted)


@pytest.mark.parametrize("name", [*REFERENCES, "muon"])
def test_every_group_follows_the_schedule(name, tiny_model):
    model, gradients = model_and_gradients(tiny_model, 1)
    optimizer = make_optimizer(model, arguments(optim=name), FullMethod(), CPU)
    before = follow(model, optimizer, [])
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    assert torch.equal(follow(model, optimizer, gradients), before)


def adapted(folder):
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))


def test_loraplus_learns_b_faster_than_a_as_peft_does(tiny_model):
    def rates(model, optimizer):
        names = {id(weight): name for name, weight in model.named_parameters()}
        return {
            names[id(weight)]: (group["lr"], group["weight_decay"])
            for group in optimizer.param_groups
            for weight in group["params"]
        }

    model = adapted(tiny_model)
    theirs = create_loraplus_optimizer(
        model, torch.optim.AdamW, lr=1e-2, loraplus_lr_ratio=8.0, loraplus_weight_decay=0.1
    )
    ours = make_optimizer(model, arguments(weight_decay=0.1), LoraplusMethod(lr_ratio=8.0), CPU)
    assert rates(model, ours) == rates(model, theirs)
    assert {rate for rate, _ in rates(model, ours).values()} == {1e-2, 8e-2}
    plain = make_optimizer(model, arguments(), LoraMethod(), CPU)
    assert {rate for rate, _ in rates(model, plain).values()} == {1e-2}


@pytest.mark.parametrize("name", ["paged_adamw_8bit", "paged_adamw_32bit"])
def test_paging_without_cuda_is_refused_with_what_to_use_instead(name):
    with pytest.raises(RequestError, match="the device is cpu") as refused:
        check_optimizer(arguments(optim=name), CPU)
    assert refused.value.where == "training_args.optim" and "adamw_8bit" in refused.value.remedy


def test_eight_bits_without_bitsandbytes_are_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RequestError, match="needs bitsandbytes"):
        check_optimizer(arguments(optim="adamw_8bit"), CPU)
    check_optimizer(arguments(optim="adamw"), CPU)


def test_eight_bits_on_a_cpu_are_warned_about_and_the_rest_is_not():
    [warning] = optimizer_notes(arguments(optim="adamw_8bit"), CPU)
    assert "use adamw" in warning.remedy
    assert not list(optimizer_notes(arguments(optim="adamw"), CPU))


def test_eight_bits_hold_an_eighth_of_the_moments_of_a_large_matrix():
    pytest.importorskip("bitsandbytes")
    model = torch.nn.Linear(128, 64, bias=False)
    model.get_output_embeddings = lambda: None
    optimizer = make_optimizer(model, arguments(optim="adamw_8bit"), FullMethod(), CPU)
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    state = optimizer.state[model.weight]
    assert state["state1"].dtype == state["state2"].dtype == torch.uint8
    assert math.prod(state["state1"].shape) == 128 * 64
