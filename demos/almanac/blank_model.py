"""Seedling before it has learned anything: its tokenizer, its chat template and its architecture."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

from furrow.components.disk.publish import publish_text
from furrow.components.errors import RequestError

WEIGHTS = "model.safetensors"
PAD, TEXT_START, TURN_START, TURN_END = "<|pad|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 1024
"""256 bytes, 4 special tokens and 764 merges: enough for nearly every crop and value to be one to three tokens."""
CONTEXT = 512
"""Tokens; documents have about 200, a question with its answer about 40."""

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""ChatML, letter by letter, because servers that guess a template from its text know this one."""


def train_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE with GPT-2's pre-tokenizer: any text round-trips. It puts nothing before or after a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, TEXT_START, TURN_START, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=TEXT_START,
        eos_token=TURN_END,
        pad_token=PAD,
        additional_special_tokens=[TURN_START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def architecture(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of 3.7 M parameters. The rows of every matrix are a multiple of 256 long, as k-quants want them."""
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=len(tokenizer),
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="bfloat16",
    )


def write_blank(folder: Path, texts: Iterable[str]) -> None:
    """Writes config.json, generation_config.json, the tokenizer's files and chat_template.jinja; no weights.

    Raises RequestError where weights lie in `folder` that belong to other files than these: weights mean nothing to
    a tokenizer that they were not trained with, and nobody would notice before the model answers nonsense.
    """
    with tempfile.TemporaryDirectory() as scratch:
        _save(Path(scratch), texts)
        made = sorted(Path(scratch).iterdir())
        changed = [file for file in made if not _is_same(file, folder / file.name)]
        if changed and (folder / WEIGHTS).exists():
            raise RequestError(
                f"{folder} holds weights that were trained with another {', '.join(file.name for file in changed)}",
                remedy="write to another --output, or remove the weights and train them anew",
            )
        folder.mkdir(parents=True, exist_ok=True)
        for file in changed:
            publish_text(folder / file.name, file.read_text(encoding="utf-8"))


def _save(folder: Path, texts: Iterable[str]) -> None:
    tokenizer = train_tokenizer(texts)
    config = architecture(tokenizer)
    tokenizer.save_pretrained(folder)
    config.save_pretrained(folder)
    GenerationConfig.from_model_config(config).save_pretrained(folder)


def _is_same(file: Path, other: Path) -> bool:
    return other.is_file() and file.read_bytes() == other.read_bytes()
