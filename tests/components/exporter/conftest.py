"""Tiny random models with tokenizers trained on the spot: nothing is downloaded, nothing keeps its initial value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from furrow.components.exporter import ExportRequest
from furrow.components.generation import GenerationConfig
from furrow.components.models.folder import ModelFolder

CORPUS = [
    "Sow leeks in March, in rich soil, fifteen centimetres apart; they grow well beside carrots.",
    "Peas like cool days: sow them from February to May, 5 cm apart, 3 to a hole.",
    "I'll say it's late: don't sow, we've seen they're slow. In 1999 12345 plants died of frost.",
    "def harvest(crop):\n    return crop.ripe and crop.month in (7, 8, 9)\n\n\n  # two  spaces\t tab",
    "Überraschung: ça coûte señor žlutý. Привет, мир! 你好，世界 🌱🥕",
] * 4
NUMBERS = [f"{number * number}; it's {number}\n\n" for number in range(100, 1000, 7)]
LLAMA3_CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
VOCABULARY = 600
ROWS = 640  # more rows than tokens, as real models have


class ChatTemplate:
    """A template as the exporters see one."""

    stop_sequences: Sequence[str] = ()

    def prompt(self, messages: Sequence[dict[str, str]]) -> str:
        return "".join(f"<|user|>{message['content']}<|end|>" for message in messages) + "<|assistant|>"

    def jinja(self) -> str:
        return "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"

    def end_of_turn(self) -> str | None:
        return "<|end|>"


def _special(tokenizer: Tokenizer, bos: bool) -> transformers.PreTrainedTokenizerFast:
    texts = ["<s>", "</s>", "<|user|>", "<|assistant|>", "<|end|>"]
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in texts])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", add_bos_token=bos
    )


@pytest.fixture(scope="session")
def byte_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Byte-level BPE, cut as Llama 3 cuts; adds no BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_CUTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [*CORPUS, *NUMBERS],
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - 5, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        ),
    )
    return _special(tokenizer, bos=False)


@pytest.fixture(scope="session")
def character_tokenizer() -> transformers.PreTrainedTokenizerFast:
    """SentencePiece-like BPE with byte fallback and Metaspace, merges made from the pieces as transformers does."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    trained.train_from_iterator(CORPUS[:4], trainers.BpeTrainer(vocab_size=120, show_progress=False))
    learned = [text for text, _ in sorted(trained.get_vocab().items(), key=lambda item: item[1])]
    texts = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *learned]
    vocabulary = {text: number for number, text in enumerate(texts)}
    merges = [
        (piece[:at], piece[at:])
        for piece in learned
        for at in range(1, len(piece))
        if piece[:at] in vocabulary and piece[at:] in vocabulary
    ]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return _special(tokenizer, bos=True)


def randomise(model: Any, seed: int = 0) -> None:
    """Norms and biases are ones and zeros at first, and would hide a mistake; so every parameter is drawn."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        if "norm" in name or ".ln_" in name or "layernorm" in name:
            parameter.data = 0.3 * drawn + (1.0 if parameter.data.mean() > 0.5 else 0.0)
        elif name.endswith("bias"):
            parameter.data = 0.3 * drawn
        else:
            parameter.data = drawn * (1.5 / parameter.shape[-1] ** 0.5)


@pytest.fixture
def make_model(tmp_path: Path) -> Callable[..., Path]:
    """(config, tokenizer) -> folder of a random model."""

    def make(config: Any, tokenizer: Any, name: str = "model") -> Path:
        folder = tmp_path / name
        torch.manual_seed(0)
        model = transformers.AutoModelForCausalLM.from_config(config)
        randomise(model)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def small_llama(make_model: Callable[..., Path], byte_tokenizer: Any) -> Path:
    """Llama of two layers whose rows 256 divides, so that k-quants apply; untied."""
    config = transformers.LlamaConfig(
        vocab_size=ROWS,
        hidden_size=256,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=False,
    )
    return make_model(config, byte_tokenizer)


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., ExportRequest]:
    """(source, **changes) -> an export request with two probes."""

    def make(source: ModelFolder, **changes: Any) -> ExportRequest:
        template = ChatTemplate()
        prompts = tuple(
            template.prompt([{"role": "user", "content": text}])
            for text in ("When do I sow leeks, and how far apart?", "I'll plant 12345 peas:\n\n  ça va? 你好 🌱")
        )
        settings: dict[str, Any] = {
            "destination": tmp_path / "out" / "tiny.gguf",
            "template": template,
            "generation": GenerationConfig(),
            "model_name": "tiny",
            "probe_prompts": prompts,
        }
        return ExportRequest(source=source, **{**settings, **changes})

    return make


@pytest.fixture
def events() -> list[Any]:
    """What an exporter emitted; its `append` is the emit."""
    return []
