"""A tiny Llama with its tokenizer, made on the spot, and rows for it."""

from __future__ import annotations

import random

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

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
