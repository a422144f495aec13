"""What frozen layers make of a row is computed once, and nothing else changes."""

from __future__ import annotations

import collections
import contextlib
import random

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from furrow.components.events import Evaluated, Noted, StepEnded
from furrow.components.fine_tuner.pytorch.engine import attention
from furrow.components.fine_tuner.pytorch.engine.activation_file import ActivationFile
from furrow.components.fine_tuner.pytorch.engine.dropout import by_rows
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.frozen_trunk import key_of, texts_of
from furrow.components.fine_tuner.pytorch.engine.packing import pack
from furrow.components.fine_tuner.pytorch.engine.trunk_limits import make_trunk
from furrow.components.records import Example, Judged, Pair

LAST = {"type": "lora", "r": 4, "dropout": 0.1, "layers_to_transform": "last 1"}
OFF, ON = 0.0, 1.0


@pytest.fixture(scope="module")
def tiny_model(tiny_model, tmp_path_factory):
    """Four layers, with weights that are not so small that layers do nothing."""
    folder = tmp_path_factory.mktemp("deep")
    torch.manual_seed(0)
    settings = LlamaConfig.from_pretrained(tiny_model, num_hidden_layers=4, initializer_range=0.2)
    LlamaForCausalLM(settings).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    return folder


@pytest.fixture
def layer_tokens(monkeypatch):
    """Tokens that went through each decoder layer, by its number."""
    tokens, forward = collections.Counter(), LlamaDecoderLayer.forward

    def counted(self, hidden_states, *more, **named):
        tokens[self.self_attn.layer_idx] += hidden_states.shape[0] * hidden_states.shape[1]
        return forward(self, hidden_states, *more, **named)

    monkeypatch.setattr(LlamaDecoderLayer, "forward", counted)
    return tokens


def hardware(gib, **optimization):
    return {"device": "cpu", "optimization": {"mixed_precision": "no", "activation_cache_gb": gib, **optimization}}


def pairs(examples):
    """Two answers to each prompt."""
    chance, made = random.Random(1), []
    for example in examples:
        given = example.learned.index(True)
        ids = [*example.input_ids[:given], *(chance.randrange(1, 300) for _ in range(4))]
        other = Example(ids, [False] * given + [True] * 4, example.where)
        made.append(Pair(example, other, example.where))
    return made


def judged(examples):
    return [
        Judged(one, number % 2 == 0, one.where, unrelated=pair.rejected)
        for number, (one, pair) in enumerate(zip(examples, pairs(examples), strict=True))
    ]


def learned(folder):
    return load_file(folder / "final_model/adapter_model.safetensors")


@pytest.mark.parametrize(
    ("objective", "rows", "layout", "optimization"),
    [
        ("sft", list, "flat", {}),
        ("sft", list, "flat", {"gradient_checkpointing": True}),
        ("sft", list, "padded", {}),
        ("dpo", pairs, "flat", {}),
        ("dpo", pairs, "padded", {}),
        ("reward", pairs, "flat", {}),
        ("kto", judged, "flat", {}),
    ],
)
def test_losses_and_weights_are_those_of_computing_every_layer_every_time(
    train, examples, layer_tokens, monkeypatch, objective, rows, layout, optimization
):
    if layout == "padded":
        monkeypatch.setattr(attention, "supports_flat", lambda *_: "a test wants padding")
    settings = {
        "method": LAST,
        "objective": objective,
        "num_train_epochs": 3,
        "eval_strategy": "epoch",
        "learning_rate": 1e-2,
    }
    data = rows(examples[:16]), rows(examples[16:24])
    plain, plain_folder = train(*data, name="plain", hardware=hardware(OFF, **optimization), **settings)
    every_time = layer_tokens[0]
    layer_tokens.clear()
    kept, kept_folder = train(*data, name="kept", hardware=hardware(ON, **optimization), **settings)
    assert layer_tokens[0] < 0.5 * every_time
    assert layer_tokens[0] < 0.5 * layer_tokens[3]
    for kind, name in ((StepEnded, "loss"), (StepEnded, "grad_norm"), (Evaluated, "eval_loss")):
        one, two = ([getattr(event, name) for event in events if isinstance(event, kind)] for events in (plain, kept))
        assert two == pytest.approx(one, rel=1e-5) and len(one) >= 3
    one, two = learned(plain_folder), learned(kept_folder)
    assert all(torch.allclose(one[name], two[name], rtol=0, atol=1e-5) for name in one)


def test_each_row_goes_through_the_frozen_layers_once(train, examples, layer_tokens):
    train(
        examples[:16],
        examples[16:24],
        hardware=hardware(ON),
        method=LAST,
        num_train_epochs=3,
        eval_strategy="epoch",
    )
    once = sum(len(row.input_ids) for row in examples[:24])
    tried = layer_tokens[0] - once
    assert 0 < tried < 200  # whether it is exact was tried on 16 tokens
    assert layer_tokens[3] > 3 * once


def test_rows_of_a_pack_are_kept_whole_though_they_begin_alike(train, examples, layer_tokens):
    rows = [row._replace(input_ids=[9, 9, 9, *row.input_ids[3:]]) for row in examples[:16]]
    tokens = sum(len(row.input_ids) for row in rows)
    texts, to_keep = texts_of(pack(rows, 60))
    keys = {key_of(row.input_ids) for row in rows}
    assert to_keep == tokens and len(texts) == len(keys) and all(key in texts for key in keys)
    assert key_of([1, 2, 3]) not in texts
    train(rows, hardware=hardware(ON), method=LAST, num_train_epochs=3, packing=True)
    assert 0 < layer_tokens[0] - tokens < 200


def test_what_does_not_fit_is_computed_each_time_and_said_once(train, examples, layer_tokens):
    rows = examples[:16]
    tokens = sum(len(row.input_ids) for row in rows)
    half = tokens // 2 * 32 * 4 / (1 << 30)  # width 32, 4 bytes
    settings = {"method": LAST, "num_train_epochs": 4, "learning_rate": 1e-2}
    plain, _ = train(rows, name="plain", hardware=hardware(OFF), **settings)
    every_time = layer_tokens[0]
    layer_tokens.clear()
    kept, _ = train(rows, name="kept", hardware=hardware(half), **settings)
    losses = [[event.loss for event in events if isinstance(event, StepEnded)] for events in (plain, kept)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    assert 2 * tokens < layer_tokens[0] < every_time - 0.75 * tokens  # half of three epochs, less what trying takes
    said = [event.message for event in kept if isinstance(event, Noted) and "do not learn" in event.message]
    assert len(said) == 1 and f"for {tokens // 2:,} of {tokens:,} tokens" in said[0]


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ({**LAST, "bias": "all"}, None),  # Llama has no biases: nothing below learns, and it stays on
        ({**LAST, "modules_to_save": ["embed_tokens"]}, "embed_tokens, which stands before them, learns too"),
        ({**LAST, "modules_to_save": ["lm_head"]}, None),  # a copy of its own, also where it is tied to the embeddings
        ({**LAST, "layers_to_transform": [0, 3]}, "the first layer learns too"),
        ({"type": "lora", "r": 4}, ""),  # nobody asked for frozen layers: nothing is said
    ],
)
def test_where_it_is_not_exact_it_is_off_and_says_why(train, examples, layer_tokens, method, reason):
    events, _ = train(examples[:8], hardware=hardware(ON), method=method, num_train_epochs=3)
    said = [
        event.message for event in events if isinstance(event, Noted) and "computed in every epoch" in event.message
    ]
    assert (layer_tokens[0] < layer_tokens[3]) == (reason is None)
    assert said == ([f"the frozen layers are computed in every epoch: {reason}"] if reason else [])


SIZES = {
    "vocab_size": 300,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 4,
    "initializer_range": 0.2,
}
MORE = {**SIZES, "intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16}


TWO_KINDS = ["sliding_attention", "full_attention"]
ASKED = {"gib": ON, "asked": True, "autocast": contextlib.nullcontext}


def last_layer_learns(model):
    """The model with an adapter that is not zero in the last of its four layers."""
    torch.manual_seed(0)
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_("lora_" in name and ".3." in name)
    return Forward(adapted, pad_id=0, longest=24)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Gemma3ForCausalLM, Gemma3TextConfig(**MORE, sliding_window=6, layer_types=TWO_KINDS * 2)),
        (Qwen3ForCausalLM, Qwen3Config(**MORE)),
        (GPT2LMHeadModel, GPT2Config(**SIZES, resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.0)),
    ],
    ids=["gemma3", "qwen3", "gpt2"],
)  # fmt: skip
def test_architectures_that_do_more_around_their_layers_come_out_the_same(examples, tmp_path, kind, config):
    """Gemma scales embeddings and tells its attention by the layer's number; GPT-2 adds positions."""
    forward = last_layer_learns(kind(config))
    said = []
    trunk = make_trunk(forward, examples[:8], folder=tmp_path, emit=said.append, **ASKED)
    assert trunk is not None, said
    forward.model.eval()
    groups = [(example,) for example in examples[:8]]
    whole = forward(groups).hidden
    forward.trunk = trunk
    first, again = forward(groups).hidden, forward(groups[:3]).hidden
    assert trunk.computed_tokens == sum(len(example.input_ids) for example in examples[:8])
    real = forward.lay(groups)
    places = torch.cat([real.sources, real.last])
    assert torch.allclose(first[places], whole[places], atol=1e-5)
    some = forward.lay(groups[:3])
    plain = trunk.forward.decode(some)
    places = torch.cat([some.sources, some.last])
    assert torch.allclose(again[places], plain[places], atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "config", "reason"),
    [
        (LlamaForCausalLM, LlamaConfig(**MORE, attention_dropout=0.1), "layers.0.self_attn.attention_dropout 0.1"),
        (GPT2LMHeadModel, GPT2Config(**SIZES, resid_pdrop=0.0, attn_pdrop=0.0, embd_pdrop=0.2), "drop 0.2"),
    ],
    ids=["llama", "gpt2"],
)
def test_dropout_before_the_trained_layers_turns_it_off(examples, tmp_path, kind, config, reason):
    forward, said = last_layer_learns(kind(config)), []
    assert make_trunk(forward, examples[:8], folder=tmp_path, emit=said.append, **ASKED) is None
    assert [event.message for event in said] == [
        f"the frozen layers are computed in every epoch: they drop out activations ({reason})"
    ]


def test_dropout_that_belongs_to_rows_turns_it_off_too(examples, tmp_path):
    forward, said = last_layer_learns(GPT2LMHeadModel(GPT2Config(**SIZES, resid_pdrop=0.0, attn_pdrop=0.1))), []
    assert by_rows(forward.model, forward.seeds) == ["attn_dropout 0.1"]
    assert make_trunk(forward, examples[:8], folder=tmp_path, emit=said.append, **ASKED) is None
    assert "they drop out activations (drop 0.1)" in said[0].message


def test_a_layer_that_looks_past_the_one_below_it_is_found_out(examples, tmp_path):
    """Its settings do not say so; the row on which both halves are tried does."""
    forward, said = last_layer_learns(LlamaForCausalLM(LlamaConfig(**MORE))), []
    first, last = forward.decoder.layers[0], forward.decoder.layers[3]
    first.register_forward_hook(lambda layer, given, result: setattr(layer, "seen", result))
    last.register_forward_pre_hook(lambda layer, given: (given[0] + first.seen.mean(), *given[1:]))
    forward.decode(forward.lay([(examples[1],)]))
    assert make_trunk(forward, examples[:4], folder=tmp_path, emit=said.append, **ASKED) is None
    assert "llama comes out differently in two halves" in said[0].message


def test_chance_that_no_setting_names_is_found_out(examples, tmp_path):
    forward, said = last_layer_learns(LlamaForCausalLM(LlamaConfig(**MORE))), []
    noise = lambda layer, given, result: result + 0.01 * torch.randn_like(result) * layer.training  # noqa: E731
    forward.decoder.layers[1].register_forward_hook(noise)
    assert make_trunk(forward, examples[:4], folder=tmp_path, emit=said.append, **ASKED) is None
    assert "chance acts in the frozen layers" in said[0].message


def test_the_file_has_no_name_and_leaves_nothing_behind(train, examples, tmp_path, monkeypatch):
    folder = tmp_path / "run"

    def fails(*_):
        assert [path.name for path in folder.iterdir()] == []
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(examples[:8], hardware=hardware(ON), method=LAST, num_train_epochs=2, listener=fails_at(StepEnded, fails))
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]  # the step that was learned


def fails_at(kind, then):
    return lambda event: then(event) if isinstance(event, kind) else None


def test_a_file_gives_back_what_was_written_and_no_more_than_it_holds(tmp_path):
    file = ActivationFile(tmp_path, 10, 3, torch.bfloat16)
    rows = torch.arange(24.0).view(8, 3).bfloat16()
    file.write(b"a", 2, rows[:6])
    file.write(b"b", 0, rows[:5])  # no room
    file.write(b"c", 0, rows[4:])
    assert torch.equal(file.read(b"a", 2, 8), rows[:6]) and torch.equal(file.read(b"a", 4, 5), rows[2:3])
    assert file.read(b"a", 1, 8) is None and file.read(b"a", 2, 9) is None and file.read(b"b", 0, 5) is None
    assert torch.equal(file.read(b"c", 0, 4), rows[4:]) and file.used == 10
    assert list(tmp_path.iterdir()) == []
