"""A tiny base model with a chat template, and strategies for it."""

from __future__ import annotations

import contextlib
import json

import pytest
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from furrow.components.events import StepEnded
from furrow.stages.run.folder import RunFolder
from furrow.stages.train import train
from furrow.strategies.files import load

CHAT = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
NAMES = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory):
    """Two layers of width 64: a base that learns a dozen answers by heart in seconds."""
    folder = tmp_path_factory.mktemp("base")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        ["What is number 1? It is."],
        trainers.BpeTrainer(vocab_size=300, special_tokens=NAMES, initial_alphabet=alphabet),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=NAMES[0], pad_token=NAMES[0], model_max_length=256
    )
    tokenizer.add_special_tokens({"additional_special_tokens": NAMES[1:]})
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=320, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=None, eos_token_id=0, pad_token_id=0,
        max_position_embeddings=256,
    )  # fmt: skip
    LlamaForCausalLM(settings).save_pretrained(folder)
    return folder


@pytest.fixture
def strategy_file(tmp_path, base_folder):
    """write(**blocks) -> the file of a strategy `tiny` on that base, its dataset beside it."""
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word * 2}."} for word in "abcdefghijkl"]
    data = tmp_path / "qa.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write(**blocks):
        config = {
            "base_model": {"path": str(base_folder)},
            "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
            "method": {"type": "full"},
            "training_args": {
                "output_dir": str(tmp_path / "run"),
                "num_train_epochs": 60,
                "per_device_train_batch_size": 4,
                "learning_rate": 0.005,
                "save_strategy": "no",
            },
        }
        for key in list(config):
            config[key] |= blocks.pop(key, {})
        body = {
            "components": {"fine_tuner": {"type": "pytorch", "config": config}},
            "dataset": {"train_file": str(data)},
            "generation": {"max_new_tokens": 16},
            **blocks,
        }
        file = tmp_path / "strategies.yaml"
        file.write_text(yaml.safe_dump({"tiny": body}))
        return file

    return write


class PowerCut(BaseException):
    """Nothing that anybody expects."""


@pytest.fixture
def go(strategy_file):
    """go(**blocks) trains the tiny strategy and returns its folder and the events; `cut` is the step at which it dies.

    12 rows, 4 a step: 3 steps an epoch, 12 in all, and a checkpoint after every second one. `arguments` are laid over
    these; a step costs some 10 ms.
    """

    def run(*, cut=None, resume=None, allow=(), overrides=(), arguments=None, **blocks):
        events = []

        def listen(event):
            events.append(event)
            if isinstance(event, StepEnded) and event.step == cut:
                raise PowerCut

        short = {"num_train_epochs": 4, "save_strategy": "steps", "save_steps": 2}
        loaded = load("tiny", strategy_file(training_args={**short, **(arguments or {})}, **blocks), list(overrides))
        with contextlib.suppress(PowerCut):
            train(loaded, overwrite=False, resume=resume, allow=allow, emit=listen)
            assert cut is None
        return RunFolder(loaded.strategy.output_dir), events

    return run


@pytest.fixture
def cut_run(go):
    """The folder of a run that died in step 7, its newest checkpoint of step 6: two epochs are over."""
    return go(cut=7)[0]
