"""A tiny base model and an adapter on it, made once in the process, written wherever a payload wants them."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path
from typing import Any

from tests.faults.hostile.payload import by_command


def base(folder: Path, without: str = "", **settings: Any) -> Path:
    """A whole base model in `folder/base`, but for the file `without`; `settings` are laid over its config.json."""
    place = _write(folder / "base", _base(), without)
    return change(place, "config.json", **settings)


def adapter(folder: Path, without: str = "", **settings: Any) -> Path:
    """An adapter in `folder/adapter` on a base in `folder/base`; `settings` are laid over its adapter_config.json."""
    on = str(_write(folder / "base", _base(), ""))
    place = _write(folder / "adapter", _adapter(), without)
    return change(place, "adapter_config.json", **{"base_model_name_or_path": on, **settings})


def change(place: Path, name: str, **settings: Any) -> Path:
    """Lays settings over a JSON file, which need not be there."""
    file = place / name
    found = json.loads(file.read_text()) if file.is_file() else {}
    if settings:
        file.write_text(json.dumps(found | settings))
    return place


def use(model: Path) -> str:
    """Loads tokenizer and weights of a base as training does, and asks for one token."""
    import torch

    from furrow.components.base_models import BaseModelConfig
    from furrow.components.fine_tuner.pytorch.model.load import load_base, load_tokenizer

    config = BaseModelConfig(path=str(model))
    ids = load_tokenizer(config)("hello").input_ids
    logits = load_base(config, torch.float32)(torch.tensor([ids])).logits
    return f"it answers {tuple(logits.shape)}"


def use_tokenizer(model: Path, text: str = "hello") -> str:
    """Encodes a text and decodes it again, as training and completing do."""
    from furrow.components.models.pretrained import load_tokenizer
    from furrow.components.tokens import prompt_ids

    tokenizer = load_tokenizer(str(model))
    return f"it reads {tokenizer.decode(prompt_ids(tokenizer, text))[:50]!r}"


def use_adapter(place: Path) -> str:
    """Loads an adapter on its base as `complete` does."""
    import torch

    from furrow.components.models.folder import recognise
    from furrow.components.models.loading import load_model

    model = load_model(recognise(place), dtype=torch.float32)
    return f"it answers {tuple(model(torch.tensor([[1, 2]])).logits.shape)}"


def strategy(folder: Path, model: Path, **settings: Any) -> Path:
    """A strategy file that trains two steps on the base."""
    rows = [{"prompt": f"What is {word}?", "completion": f"It is {word}."} for word in "abcdef"]
    data, file = folder / "rows.jsonl", folder / "strategies.yaml"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = {"output_dir": str(folder / "run"), "max_steps": 2, "save_strategy": "no"}
    config = {
        "base_model": {"path": str(model)},
        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
        "method": {"type": "lora", "r": 2},
        "training_args": arguments,
    }
    body = {
        "components": {"fine_tuner": {"type": "pytorch", "config": config}},
        "prompt_template": {"format": "{input} {output}"},
        "dataset": {"train_file": str(data)},
        **settings,
    }
    file.write_text(json.dumps({"tiny": body}))  # JSON is YAML
    return file


def set_up(folder: Path, model: Path) -> str:
    """`furrow setup --verify-only`"""
    return by_command("setup", strategy(folder, model), "--strategy", "tiny", "--verify-only")


def train(folder: Path, model: Path, *more: str) -> str:
    """`furrow train`"""
    return by_command("train", "--strategy", "tiny", "--strategy-file", strategy(folder, model), *more)


def _write(place: Path, files: dict[str, bytes], without: str) -> Path:
    place.mkdir(exist_ok=True)
    for name, content in files.items():
        if name != without:
            (place / name).write_bytes(content)
    return place


@functools.cache
def _base() -> dict[str, bytes]:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        ["hello"], trainers.BpeTrainer(vocab_size=300, special_tokens=["</s>"], initial_alphabet=alphabet)
    )
    torch.manual_seed(0)
    sizes = LlamaConfig(
        vocab_size=320, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, bos_token_id=None, eos_token_id=0, pad_token_id=0, max_position_embeddings=128,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", model_max_length=128)
        tokenizer.save_pretrained(place)
        LlamaForCausalLM(sizes).save_pretrained(place)
        return {file.name: file.read_bytes() for file in Path(place).iterdir()}


@functools.cache
def _adapter() -> dict[str, bytes]:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    with tempfile.TemporaryDirectory() as place:
        on = _write(Path(place, "base"), _base(), "")
        model = AutoModelForCausalLM.from_pretrained(on, use_safetensors=True)
        settings = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj", "v_proj"])
        get_peft_model(model, settings).save_pretrained(str(Path(place, "adapter")), save_embedding_layers=False)
        return {file.name: file.read_bytes() for file in Path(place, "adapter").iterdir() if file.suffix != ".md"}
