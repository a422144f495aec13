"""A tiny Llama with its tokenizer, made on the spot, and rows for it."""

from __future__ import annotations

import json
import random

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from furrow.components.events import EventStream, StepEnded
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.records import Example

TEXT = ["the quick brown fox jumps over the lazy dog", "Question: what is a carrot? Answer: a root of the garden"]


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """A folder with 2 layers of width 32, random weights, and a byte-level BPE tokenizer with an end token."""
    folder = tmp_path_factory.mktemp("tiny")
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<|end|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(TEXT, trainer)
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>").save_pretrained(folder)
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=304,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(settings).save_pretrained(folder)
    return folder


@pytest.fixture
def examples():
    """40 rows of 5 to 24 tokens, the later part of each learned."""
    chance = random.Random(0)
    rows = []
    for number in range(40):
        length = chance.randint(5, 24)
        given = chance.randint(1, length - 2)
        ids = [chance.randrange(1, 300) for _ in range(length)]
        rows.append(Example(ids, [False] * given + [True] * (length - given), f"rows.jsonl:{number + 1}"))
    return rows


FP32_CPU = {"device": "cpu", "optimization": {"mixed_precision": "no"}}


@pytest.fixture
def train(tiny_model, tmp_path):
    """Trains with these settings; returns the events and the run's folder."""

    def run(
        examples,
        evaluation=(),
        name="run",
        hardware=FP32_CPU,
        method=None,
        objective="sft",
        listener=None,
        resume=None,
        samples=(),
        **arguments,
    ):
        settings = {
            "base_model": {"path": str(tiny_model)},
            "hardware": hardware,
            "objective": objective,
            "method": method or {"type": "lora", "r": 4, "dropout": 0.0},
            "training_args": {"save_strategy": "no", **arguments},
        }
        tuner = PyTorchFineTuner(PyTorchConfig.model_validate_json(json.dumps(settings)))
        events = []
        folder = tmp_path / name
        request = TrainingRequest(
            train=examples,
            evaluation=evaluation,
            order_seed=42,
            checkpoints=folder / "checkpoints",
            final_model=folder / "final_model",
            beside={"strategy.yaml": "x"},
            resume=resume,
            samples=samples,
        )
        tuner.train(request, EventStream(events.append, *([listener] if listener else [])))
        return events, folder

    return run


@pytest.fixture
def steps():
    """The steps among the events of a run."""
    return lambda events: [event for event in events if isinstance(event, StepEnded)]
