"""A file's vocabulary cuts text as the tokenizer it was read from: every row of the table, spaces, and kinds."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers
from gguf import TokenType
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX as QWEN2_CUTS

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf.llama import LlamaCpp
from furrow.components.exporter.gguf.pre_tokenizers import NAMES, name_of
from furrow.components.exporter.gguf.verify import check_tokens
from furrow.components.exporter.gguf.vocabulary import normal_form, read_vocabulary
from furrow.components.exporter.gguf.writer import safe_name, write_model
from furrow.components.exporter.merged.probes import TEXTS

ALPHABET = [
    "sow ",
    "Leeks",
    "it's",
    "WE'LL",
    " 7",
    "12345",
    "3.14",
    "\n",
    "\n\n",
    "  ",
    "\t",
    "ça",
    "žluť",
    "мир",
    "你好",
]
ALPHABET += ["🌱", "_x", "!?", "...", "(a)", "/", "don't", "'s", " \n", "é", "À", "ß", "今天", "٣٤", "½"]


def _hostile(count: int = 150) -> list[str]:
    draw = random.Random(0)
    return ["".join(draw.choices(ALPHABET, k=draw.randint(1, 12))) for _ in range(count)]


def _pre_tokenizer(steps: tuple[str, ...]) -> Any:
    """The tokenizer.json that a row of the table stands for."""
    made: list[Any] = []
    for step in steps:
        match step.split(" ", 1):
            case ["digits", "one by one"]:
                made.append(pre_tokenizers.Digits(individual_digits=True))
            case ["digits"]:
                made.append(pre_tokenizers.Digits(individual_digits=False))
            case ["punctuation"]:
                made.append(pre_tokenizers.Punctuation(behavior="contiguous"))
            case ["split", regex] if regex.startswith("'s|"):
                made.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True))
            case ["split", regex]:
                made.append(pre_tokenizers.Split(Regex(regex), behavior="isolated"))
    if not any(isinstance(step, pre_tokenizers.ByteLevel) for step in made):
        made.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    return pre_tokenizers.Sequence(made)


def _trained(pre_tokenizer: Any, ignore_merges: bool = False) -> Any:
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizer
    corpus = [*Path(argparse.__file__).read_text().splitlines(keepends=True)[:900], *_hostile()]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken("</s>", special=True, normalized=False)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")


@pytest.fixture
def opened(make_model: Callable[..., Path], tmp_path: Path) -> Iterator[Callable[..., LlamaCpp]]:
    """(tokenizer) -> llama.cpp with a file that carries it."""
    files: list[LlamaCpp] = []

    def make(tokenizer: Any, prompts: tuple[str, ...] = ("sow",)) -> LlamaCpp:
        config = transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=1,
        )
        folder, path = make_model(config, tokenizer), tmp_path / "vocabulary.gguf"
        vocabulary = read_vocabulary(tokenizer, prompts, None)
        config.architectures = ["LlamaForCausalLM"]
        write_model(folder, config, vocabulary, path, dtype="f32", name="tiny", chat_template="")
        files.append(LlamaCpp(path))
        return files[-1]

    yield make
    for file in files:
        file.close()


@pytest.mark.parametrize("steps", NAMES, ids=NAMES.values())
def test_llama_cpp_cuts_as_each_pre_tokenizer_of_the_table(
    steps: tuple[str, ...], opened: Callable[..., LlamaCpp]
) -> None:
    tokenizer = _trained(_pre_tokenizer(steps), ignore_merges=NAMES[steps] in ("llama-bpe", "tekken"))
    check_tokens(opened(tokenizer), tokenizer, [*TEXTS, *_hostile()], None)


def test_another_name_than_the_right_one_is_noticed(
    opened: Callable[..., LlamaCpp], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = next(steps for steps, name in NAMES.items() if name == "qwen2")
    monkeypatch.setitem(NAMES, steps, "gpt-2")
    tokenizer = _trained(_pre_tokenizer(steps))
    with pytest.raises(FurrowError, match="into other tokens"):
        check_tokens(opened(tokenizer), tokenizer, TEXTS, None)


def test_the_expressions_are_those_that_real_tokenizers_carry() -> None:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    split = {"type": "Split", "pattern": {"Regex": QWEN2_CUTS}, "behavior": "Isolated", "invert": False}
    assert name_of({"type": "Sequence", "pretokenizers": [split, byte_level]}, ignore_merges=False) == "qwen2"
    assert name_of({**byte_level, "use_regex": True}, ignore_merges=False) == "gpt-2"


def test_a_pre_tokenizer_that_llama_cpp_does_not_have_is_refused() -> None:
    tokenizer = _trained(
        pre_tokenizers.Sequence(
            [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
    )
    with pytest.raises(FurrowError, match="no pre-tokenizer that cuts text"):
        read_vocabulary(tokenizer, (), None)


def test_a_normalizer_beyond_unicode_forms_is_refused_and_a_form_is_remembered() -> None:
    tokenizer = _trained(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.backend_tokenizer.normalizer = normalizers.NFC()
    assert read_vocabulary(tokenizer, (), None).pre == "gpt-2"
    assert normal_form(tokenizer) == "NFC"
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(FurrowError, match="Lowercase"):
        read_vocabulary(tokenizer, (), None)


def test_a_tokenizer_without_an_end_token_is_refused() -> None:
    tokenizer = _trained(pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.eos_token = None
    with pytest.raises(FurrowError, match="no end token"):
        read_vocabulary(tokenizer, (), None)


def test_an_end_of_turn_that_is_not_one_token_is_refused(byte_tokenizer: Any) -> None:
    with pytest.raises(FurrowError, match="not one token"):
        read_vocabulary(byte_tokenizer, (), "<|im_end|>")


@pytest.mark.parametrize("prompt", ["sow leeks", "<|user|>sow leeks<|end|>"], ids=["plain", "chat"])
def test_the_space_before_a_text_follows_what_prompts_begin_with(
    prompt: str, character_tokenizer: Any, opened: Callable[..., LlamaCpp]
) -> None:
    llama = opened(character_tokenizer, (prompt,))
    assert llama.tokenize(prompt) == character_tokenizer(prompt).input_ids


SPACES: dict[str, tuple[Any, Any]] = {
    "Llama 2 in its first form": (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        None,
    ),
    "Gemma": (normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", behavior="merged_with_previous")),
    "Metaspace, always": (None, pre_tokenizers.Metaspace(prepend_scheme="always", split=False)),
    "Metaspace, never": (None, pre_tokenizers.Metaspace(prepend_scheme="never", split=False)),
    "Metaspace, first": (None, pre_tokenizers.Metaspace(prepend_scheme="first", split=False)),
}


@pytest.mark.parametrize("name", SPACES)
def test_every_way_to_write_a_space_cuts_alike(
    name: str, character_tokenizer: Any, opened: Callable[..., LlamaCpp]
) -> None:
    backend = Tokenizer.from_str(character_tokenizer.backend_tokenizer.to_str())
    normalizer, pre_tokenizer = SPACES[name]
    backend.normalizer = normalizer or normalizers.Sequence([])
    backend.pre_tokenizer = pre_tokenizer or pre_tokenizers.Sequence([])
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    chat = ["<|user|>sow  leeks<|end|><|assistant|>", "<|user|>sow<|end|>\n<|assistant|>peas "]
    texts = [*TEXTS, *_hostile(), *([] if name == "Metaspace, first" else chat)]
    if name in ("Metaspace, first", "Metaspace, always"):  # see spaces.py on texts that begin with a space
        texts = [text.lstrip(" ") for text in texts]
    check_tokens(opened(tokenizer), tokenizer, texts, None)


def test_kinds_tell_bytes_control_and_unknown_tokens_apart(character_tokenizer: Any) -> None:
    vocabulary = read_vocabulary(character_tokenizer, ("a",), None)
    kinds = dict(zip(vocabulary.tokens, vocabulary.kinds, strict=True))
    assert (kinds["<unk>"], kinds["<0x0A>"], kinds["<s>"]) == (TokenType.UNKNOWN, TokenType.BYTE, TokenType.CONTROL)
    assert (vocabulary.add_bos, vocabulary.add_eos) == (True, False)


def test_the_name_says_phi3_where_special_tokens_swallow_white_space(byte_tokenizer: Any) -> None:
    vocabulary = read_vocabulary(byte_tokenizer, (), None)
    assert safe_name("Phi-3-mini", vocabulary) == "phi 3-mini"
    assert safe_name("garden", vocabulary) == "garden"
