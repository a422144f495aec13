"""Every method against PEFT used by hand: the same weights learn, with the same losses, and are saved whole."""

from __future__ import annotations

import json
import threading

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    PromptTuningConfig,
    get_peft_model,
    get_peft_model_state_dict,
)
from peft.optimizers import create_loraplus_optimizer
from pydantic import TypeAdapter
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GPT2Config, GPT2LMHeadModel

from furrow.components.base_models import BaseModelConfig
from furrow.components.errors import RequestError
from furrow.components.events import Evaluated, TrainingStarted
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.device import choose
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan, seed_of
from furrow.components.fine_tuner.pytorch.method import METHODS, MethodConfig
from furrow.components.fine_tuner.pytorch.model.adapters import apply_method
from furrow.components.fine_tuner.pytorch.model.load import load_base
from furrow.components.fine_tuner.pytorch.model.rank_cuts import RankCuts, method_hooks
from furrow.components.fine_tuner.pytorch.model.trainable import Loading, trainable_model
from furrow.components.fine_tuner.pytorch.model.weights import load_trained_state, save_weights, trained_state
from furrow.components.models.folder import recognise
from furrow.components.models.loading import load_model

STEPS, RATE = 6, 1e-2
LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def lora(**settings):
    return LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings})


NF4 = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
SMALL = {"r": 4, "dropout": 0.0}
PAIRS = {
    "lora": (SMALL, lora(), {}),
    "rslora": (SMALL, lora(use_rslora=True), {}),
    "dora": (SMALL, lora(use_dora=True), {}),
    "pissa": (SMALL, lora(init_lora_weights="pissa"), {}),
    "loraplus": ({**SMALL, "lr_ratio": 4.0}, lora(), {}),
    "qlora": (SMALL, lora(), {**NF4, "bnb_4bit_compute_dtype": torch.float32}),
    "qlora fp4": (
        {**SMALL, "quantization": "fp4", "double_quantization": False},
        lora(),
        {"load_in_4bit": True, "bnb_4bit_quant_type": "fp4", "bnb_4bit_compute_dtype": torch.float32},
    ),
    "qlora int8": ({**SMALL, "quantization": "int8"}, lora(), {"load_in_8bit": True}),
    "ia3": (
        {},
        IA3Config(
            target_modules=["k_proj", "v_proj", "down_proj"],
            feedforward_modules=["down_proj"],
            task_type="CAUSAL_LM",
        ),
        {},
    ),
    "adalora": (
        {"init_r": 4, "target_r": 2, "alpha": 8.0, "dropout": 0.0, "tinit": 1, "tfinal": 2},
        AdaLoraConfig(
            init_r=4, target_r=2, lora_alpha=8, tinit=1, tfinal=2, total_step=STEPS, target_modules="all-linear",
            task_type="CAUSAL_LM",
        ),
        {},
    ),
    "prefix": ({"num_virtual_tokens": 3}, PrefixTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"), {}),
    "prompt": (
        {"num_virtual_tokens": 3},
        PromptTuningConfig(num_virtual_tokens=3, prompt_tuning_init="SAMPLE_VOCAB", task_type="CAUSAL_LM"),
        {},
    ),
    "lora of the last layer": (
        {**SMALL, "layers_to_transform": "last 1"},
        lora(target_modules=LINEAR, layers_to_transform=[1]),
        {},
    ),
    "lora with patterns": (
        {**SMALL, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {".*1.mlp.up_proj": 3.0}, "target_modules": LINEAR},
        lora(rank_pattern={"q_proj": 2}, alpha_pattern={".*1.mlp.up_proj": 3}, target_modules=LINEAR),
        {},
    ),
    "lora with a head": ({**SMALL, "modules_to_save": ["lm_head"]}, lora(modules_to_save=["lm_head"]), {}),
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet_tied_heads(recwarn):
    """PEFT warns that a trained head is tied to the embeddings; here that is meant."""


def reference(folder, examples, config, quantization, ratio=None):
    """(losses, trainable parameters): PEFT's model row by row, with nothing of ours but the order of the rows."""
    torch.manual_seed(seed_of(42, 0))
    more = {"quantization_config": BitsAndBytesConfig(**quantization), "device_map": "cpu"} if quantization else {}
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **more), config)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if ratio is None:
        optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=0.0)
    else:
        optimizer = create_loraplus_optimizer(model, torch.optim.AdamW, lr=RATE, loraplus_lr_ratio=ratio)
    losses = []
    model.train()
    for step, rows in BatchPlan(rows=len(examples), effective_rows=6, epochs=9, max_steps=STEPS, seed=42).steps():
        total, count = torch.zeros(()), 0
        for row in rows:
            ids, learned = torch.tensor([examples[row].input_ids]), torch.tensor(examples[row].learned)[1:]
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] : -1]
            picked = logits.float().log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
            total, count = total - picked[learned].sum(), count + int(learned.sum())
        loss = total / count
        if isinstance(config, AdaLoraConfig):  # PEFT adds its penalty where it computes the loss itself
            out = model(input_ids=ids, labels=ids)
            plain = torch.nn.functional.cross_entropy(out.logits[0, :-1], ids[0, 1:])
            loss = loss + out.loss - plain
        loss.backward()
        optimizer.step()
        if isinstance(config, AdaLoraConfig):
            model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, sum(parameter.numel() for parameter in trained)


@pytest.mark.parametrize("name", PAIRS)
def test_a_method_learns_as_peft_does(name, train, steps, tiny_model, examples):
    settings, config, quantization = PAIRS[name]
    method = {"type": name.split()[0], **settings}
    events, _ = train(
        examples, method=method, max_steps=STEPS, per_device_train_batch_size=6, learning_rate=RATE,
        lr_scheduler_type="constant", max_grad_norm=0.0,
    )  # fmt: skip
    losses, trained = reference(tiny_model, examples, config, quantization, settings.get("lr_ratio"))
    # int8 rounds activations: a row's neighbours in a batch change the last bits of what is rounded.
    tolerance = 1e-3 if "int8" in name else 1e-5
    assert [event.loss for event in steps(events)] == pytest.approx(losses, abs=tolerance)
    [started] = [event for event in events if isinstance(event, TrainingStarted)]
    assert started.trainable_parameters == trained
    assert abs(losses[-1] - losses[0]) > 2e-3


def made(tiny_model, spec, steps=4, rate=0.05, total=10):
    """(model, ids) after a few steps of plain gradient descent by hand."""
    method = TypeAdapter(MethodConfig).validate_json(json.dumps(spec))
    torch.manual_seed(1)
    base = load_base(BaseModelConfig(path=str(tiny_model)), torch.float32, method)
    model = apply_method(base, method, str(tiny_model))
    hooks = method_hooks(model, method, total)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=rate)
    ids = torch.randint(1, 300, (2, 9), generator=torch.Generator().manual_seed(3))
    model.train()
    for step in range(1, steps + 1):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        if hooks.before_zero_grad is not None:
            hooks.before_zero_grad(step)
        optimizer.zero_grad()
    return model.eval(), ids


EVERY = {name: {"type": name} for name in METHODS} | {
    "qlora int8": {"type": "qlora", "quantization": "int8"},
    "pissa of unequal ranks": {
        "type": "pissa", "niter": 4, "use_rslora": True, "rank_pattern": {"q_proj": 3}, "alpha_pattern": {"k_proj": 5},
    },
    "biases": {"type": "lora", "bias": "all", "layers_to_transform": [0]},
    "embeddings": {"type": "lora", "modules_to_save": ["embed_tokens"]},
    "head": {"type": "dora", "modules_to_save": ["lm_head"]},
    "adalora between two cuts": {"type": "adalora", "deltaT": 3, "tinit": 0, "tfinal": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_what_is_saved_answers_as_the_model_in_training_did(name, tiny_model, tmp_path):
    model, ids = made(tiny_model, EVERY[name], steps=5)
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        save_weights(model, tmp_path / "saved")
        folder = recognise(tmp_path / "saved")
        assert torch.allclose(load_model(folder, dtype=torch.float32)(input_ids=ids).logits, expected, atol=1e-5)
        in_full = load_model(folder, dtype=torch.float32, in_full=True)
        # int8 rounds the inputs of each product as well, and weights written out do not
        assert torch.allclose(in_full(input_ids=ids).logits, expected, atol=1e-2 if "int8" in name else 1e-5)
    assert not any(type(module).__module__.startswith("bitsandbytes") for module in in_full.modules())


@pytest.mark.parametrize("name", EVERY)
def test_the_state_of_a_method_goes_on_to_the_bit(name, tiny_model):
    model, ids = made(tiny_model, EVERY[name], steps=5)
    state = trained_state(model)
    other, _ = made(tiny_model, EVERY[name], steps=0)
    load_trained_state(other.eval(), state)
    with torch.no_grad():
        assert torch.equal(other(input_ids=ids).logits, model(input_ids=ids).logits)
    again = trained_state(other)
    assert state.keys() == again.keys() and all(torch.equal(state[key], again[key]) for key in state)
    if "adalora" in name:
        pattern = model.peft_config["default"].rank_pattern
        assert pattern and other.peft_config["default"].rank_pattern == pattern


def test_pissa_is_saved_as_the_plain_lora_that_peft_converts_it_to(tiny_model, tmp_path):
    spec = {"type": "pissa", "r": 4}
    fresh, _ = made(tiny_model, spec, steps=0)
    fresh.peft_config["default"].init_lora_weights = True  # what PEFT asks of the adapter that it subtracts
    fresh.save_pretrained(tmp_path / "fresh")
    model, _ = made(tiny_model, spec)
    save_weights(model, tmp_path / "ours")
    model.save_pretrained(tmp_path / "theirs", path_initial_model_for_weight_conversion=tmp_path / "fresh")
    ours, theirs = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("ours", "theirs"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    settings = [json.loads((tmp_path / name / "adapter_config.json").read_text()) for name in ("ours", "theirs")]
    assert [one["r"] for one in settings] == [8, 8] and settings[0]["lora_alpha"] == settings[1]["lora_alpha"]
    assert settings[0]["init_lora_weights"] is True


@pytest.fixture(scope="module")
def tiny_gpt2(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    settings = GPT2Config(
        vocab_size=304, n_positions=32, n_embd=32, n_layer=1, n_head=2, embd_pdrop=0, attn_pdrop=0, resid_pdrop=0
    )
    GPT2LMHeadModel(settings).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("base", ["tiny_model", "tiny_gpt2"])  # gpt2 holds its matrices transposed
def test_pissa_goes_on_from_another_decomposition_of_the_same_weights(base, request):
    folder = request.getfixturevalue(base)
    model, ids = made(folder, {"type": "pissa", "r": 4})
    other, _ = made(folder, {"type": "pissa", "r": 4, "niter": 1}, steps=0)
    assert not torch.equal(*(next(iter(one.furrow_beginning.matrices.values())) for one in (model, other)))
    load_trained_state(other, trained_state(model))
    with torch.no_grad():
        assert torch.allclose(other(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-5)


def test_quantised_weights_still_learn_after_an_evaluation(tiny_model):
    model, ids = made(tiny_model, {"type": "qlora", "dropout": 0.0}, steps=1)

    def gradients():
        model.zero_grad()
        model.train()(input_ids=ids, labels=ids).loss.backward()
        return [parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad]

    before = gradients()
    with torch.no_grad():
        model.eval()(input_ids=ids)
    assert all(torch.equal(*pair) for pair in zip(before, gradients(), strict=True))


def test_adalora_ends_at_its_target_rank_and_the_saved_adapter_holds_no_more(tiny_model, tmp_path):
    spec = {
        "type": "adalora",
        "init_r": 6,
        "target_r": 2,
        "target_modules": ["q_proj", "v_proj"],
        "tinit": 1,
        "tfinal": 3,
    }
    model, _ = made(tiny_model, spec, steps=10)
    kept = [int((value != 0).sum()) for name, value in model.named_parameters() if "lora_E" in name]
    assert sum(kept) == 2 * len(kept)
    save_weights(model, tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(value.shape[0] for name, value in saved.items() if "lora_A" in name) == sum(kept)


@pytest.mark.parametrize("skipped", [{7}, {7, 8}, {*range(1, 8)}])
def test_adalora_makes_up_for_its_last_cut_where_that_step_was_skipped(skipped, tiny_model):
    spec = {"type": "adalora", "init_r": 6, "target_r": 2, "tinit": 1, "tfinal": 3, "deltaT": 4}
    model, ids = made(tiny_model, spec, steps=0)
    cuts = RankCuts(model, TypeAdapter(MethodConfig).validate_json(json.dumps(spec)), 10)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for step in range(1, 11):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        if step not in skipped:
            cuts.after_update(step)
        optimizer.zero_grad()
    kept = [int((value != 0).sum()) for name, value in model.named_parameters() if "lora_E" in name]
    assert sum(kept) == 2 * len(kept)


def test_adalora_does_not_score_ranks_by_the_gradients_of_a_step_that_was_skipped(train, examples, monkeypatch):
    cut = []
    monkeypatch.setattr(RankCuts, "after_update", lambda cuts, step: cut.append(step))
    monkeypatch.setattr(AcceleratedOptimizer, "step_was_skipped", property(lambda prepared: True))
    train(examples, method={"type": "adalora"}, max_steps=5)
    assert not cut


BFLOAT16 = {"device": "cpu", "optimization": {"mixed_precision": "bf16"}}


@pytest.mark.parametrize(
    ("base", "method"),
    [("tiny_model", {"modules_to_save": ["lm_head", "norm"]}), ("tiny_gpt2", {"bias": "all"}), ("tiny_gpt2", {})],
)
def test_whatever_learns_beside_16_bit_weights_is_held_in_32(base, method, request):
    settings = {
        "base_model": {"path": str(request.getfixturevalue(base))},
        "method": {"type": "lora", **method},
        "hardware": BFLOAT16,
    }
    config = PyTorchConfig.model_validate_json(json.dumps(settings))
    model = trainable_model(config, choose(config.hardware), None, lambda: None)
    types = {(value.requires_grad, value.dtype) for value in model.parameters()}
    assert types == {(True, torch.float32), (False, torch.bfloat16)}


@pytest.mark.parametrize("saved", [["embed_tokens"], ["lm_head", "norm"]])
def test_modules_that_learn_in_32_bits_beside_16_bit_weights_learn_as_in_32_bits_throughout(
    saved, train, steps, examples
):
    settings = {"method": {**SMALL, "type": "lora", "modules_to_save": saved}, "max_steps": 3, "learning_rate": RATE}
    events, exact = (
        train(examples, name=f"run{len(more)}", **settings, **more)[0] for more in ({"hardware": BFLOAT16}, {})
    )
    assert [event.loss for event in steps(events)] == pytest.approx([event.loss for event in steps(exact)], abs=0.02)


def test_python_waits_for_a_model_that_is_being_loaded_before_it_ends():
    release = threading.Event()
    loading = Loading(release.wait)
    [thread] = [one for one in threading.enumerate() if one.name == "loading the model"]
    assert not thread.daemon
    release.set()
    assert loading.result()


def test_adalora_in_too_few_steps_is_refused_with_the_reason(train, examples):
    with pytest.raises(RequestError, match=r"3 steps leave none to cut ranks in: tinit is 2"):
        train(examples, method={"type": "adalora", "tinit": 2}, max_steps=3)


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "qlora", "loraplus", "ia3", "prefix", "prompt"])
def test_a_run_that_goes_on_from_an_adapter_begins_where_that_one_ended(kind, train, steps, examples):
    method = {"type": kind, **(SMALL if "r" in METHODS[kind].model_fields else {})}
    settings = {"learning_rate": RATE, "eval_strategy": "epoch", "per_device_train_batch_size": len(examples)}
    first, folder = train(examples, examples, method=method, max_steps=2, **settings)
    last = [event.eval_loss for event in first if isinstance(event, Evaluated)][-1]
    second, _ = train(
        examples, name="second", method={**method, "init_from": str(folder)}, max_steps=1, learning_rate=RATE,
        per_device_train_batch_size=len(examples),
    )  # fmt: skip
    assert steps(second)[0].loss == pytest.approx(last, abs=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"type": "ia3"}, "of the method lora, the strategy's of ia3"),
        ({"type": "lora", "r": 8}, r"has r 4, the strategy 8[\s\S]*set method.r as the adapter has it"),
        ({"type": "rslora", "r": 4}, "has use_rslora none, the strategy True"),
        ({"type": "dora", "r": 4}, "has use_dora none, the strategy True"),
        ({"type": "qlora", "r": 4}, r"trained on an unquantised base[\s\S]*say method.type: lora"),
        ({"type": "lora", "r": 4, "target_modules": ["q_proj"]}, "has target_modules"),
        (
            {"type": "lora", "r": 4, "layers_to_transform": "last 1", "target_modules": LINEAR},
            "has layers_to_transform none",
        ),
    ],
)
def test_an_adapter_of_another_kind_is_not_gone_on_from(changed, message, train, examples):
    _, folder = train(examples, method={"type": "lora", "r": 4}, max_steps=1)
    with pytest.raises(RequestError, match=message):
        train(examples, name="second", method={**changed, "init_from": str(folder)}, max_steps=1)


def test_an_adapter_of_another_base_is_not_gone_on_from(train, examples):
    _, folder = train(examples, method={"type": "lora", "r": 4}, max_steps=1)
    config = folder / "final_model/adapter_config.json"
    config.write_text(
        config.read_text().replace(json.loads(config.read_text())["base_model_name_or_path"], "org/other")
    )
    with pytest.raises(RequestError, match="was trained on org/other, the strategy's base model is"):
        train(examples, name="second", method={"type": "lora", "r": 4, "init_from": str(folder)}, max_steps=1)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (
            {"type": "lora", "rank_pattern": {"q_porj": 2}},
            r"no layer with an adapter is called 'q_porj'[\s\S]*'q_proj'",
        ),
        ({"type": "lora", "alpha_pattern": {"lm_head": 2}}, "no layer with an adapter is called 'lm_head'"),
        (
            {"type": "lora", "rank_pattern": {"layers.0.mlp.up_proj": 2}, "layers_to_transform": [1]},
            "no layer with an adapter is called 'layers.0.mlp.up_proj'",
        ),
        ({"type": "lora", "layers_to_transform": [2]}, r"no layer 2[\s\S]*it has 2 layers, 0 to 1"),
        ({"type": "lora", "layers_to_transform": "last 3"}, "no layer 'last 3'"),
        ({"type": "lora", "modules_to_save": ["lm_haed"]}, r"no module 'lm_haed'[\s\S]*did you mean 'lm_head'"),
        ({"type": "ia3", "target_modules": ["key"]}, r"no linear layer 'key'[\s\S]*k_proj"),
    ],
)
def test_names_that_the_model_does_not_have_are_refused_with_the_nearest(method, message, train, examples):
    with pytest.raises(RequestError, match=message):
        train(examples, method=method, max_steps=1)


def test_the_adapter_is_peft_s_own_and_loads_without_this_house(train, examples, tiny_model):
    _, folder = train(examples, method={"type": "dora", "r": 4, "bias": "all"}, max_steps=2)
    base = AutoModelForCausalLM.from_pretrained(tiny_model)
    loaded = get_peft_model_state_dict(PeftModel.from_pretrained(base, folder / "final_model"))
    saved = load_file(folder / "final_model/adapter_model.safetensors")
    assert saved.keys() == loaded.keys() and all(torch.equal(saved[key], loaded[key]) for key in saved)
