"""What every trial works on: a model of two layers, twelve rows, and strategies that learn them in a second."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

WIDTH = 32
METHODS = ("full", "lora")
ROWS = 12
BATCH = 4
EVALUATION_ROWS = 4
NAMES = ["<|end|>", "<|user|>", "<|assistant|>"]
CHAT = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Shop:
    """A folder with all that the trials share, and room for each of their own."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def strategies(self) -> Path:
        return self.folder / "strategies.yaml"

    @property
    def rows(self) -> Path:
        return self.folder / "rows.jsonl"

    @property
    def evaluation(self) -> Path:
        return self.folder / "evaluation.jsonl"

    def room(self, name: str) -> Path:
        """An empty folder that nobody else has."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


def open_shop(folder: Path) -> Shop:
    """Writes the base model, the rows and the strategies `full` and `lora`, which save at every second step."""
    shop = Shop(folder)
    _write_base(shop.base)
    _write_rows(shop.rows, "abcdefghijkl")
    _write_rows(shop.evaluation, "mnop")
    shop.strategies.write_text(yaml.safe_dump({method: _strategy(shop, method) for method in METHODS}))
    return shop


def _strategy(shop: Shop, method: str) -> dict[str, object]:
    adapter = {"r": 4, "alpha": 8, "dropout": 0.1} if method == "lora" else {}
    config = {
        "base_model": {"path": str(shop.base)},
        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
        "method": {"type": method, **adapter},
        "training_args": {
            "output_dir": str(shop.folder / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": BATCH,
            "learning_rate": 0.005,
            "save_strategy": "steps",
            "save_steps": 2,
        },
    }
    return {
        "components": {"fine_tuner": {"type": "pytorch", "config": config}},
        "dataset": {"train_file": str(shop.rows)},
        "generation": {"max_new_tokens": 4},
        "monitoring": {"samples": {"prompts": 1, "max_new_tokens": 4}},
    }


def _write_rows(file: Path, words: str) -> None:
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word * 2}."} for word in words]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _write_base(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, special_tokens=NAMES, initial_alphabet=alphabet, show_progress=False)
    raw.train_from_iterator(["What is a? It is aa."], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token=NAMES[0], pad_token=NAMES[0], model_max_length=128
    )
    tokenizer.add_special_tokens({"additional_special_tokens": NAMES[1:]})
    tokenizer.chat_template = CHAT
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    settings = LlamaConfig(
        vocab_size=288, hidden_size=WIDTH, intermediate_size=2 * WIDTH, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=True, bos_token_id=None, eos_token_id=0, pad_token_id=0,
        max_position_embeddings=128,
    )  # fmt: skip
    LlamaForCausalLM(settings).save_pretrained(folder)
