"""Tokenizers of others: texts that grow, patterns that never end, tokens that no model has."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tests.faults.hostile._tiny import base, change, train, use_tokenizer
from tests.faults.hostile.models import NEEDS
from tests.faults.hostile.payload import Payload

__all__ = ["NEEDS", "PAYLOADS"]


def _fifo(folder: Path, marker: Path) -> str:
    place = base(folder, without="tokenizer.json")
    os.mkfifo(place / "tokenizer.json")
    return use_tokenizer(place)


def _tokenizer(name: str, text: str = "hello", **parts: Any) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        place = change(base(folder), "tokenizer.json", **parts)
        return use_tokenizer(place, text)

    return Payload(name=f"tokenizer.json: {name}", attempt=attempt)


def _large_vocabulary(folder: Path, marker: Path) -> str:
    place = base(folder)
    model = json.loads((place / "tokenizer.json").read_text())["model"]
    model["vocab"] |= {f"{number:030d}": number for number in range(400, 2_000_400)}
    return use_tokenizer(change(place, "tokenizer.json", model=model))


def _ids_beyond(folder: Path, marker: Path) -> str:
    place = base(folder)
    found = json.loads((place / "tokenizer.json").read_text())
    found["model"]["vocab"]["h"] = 100_000
    return train(folder, change(place, "tokenizer.json", model=found["model"]))


def _replacing(times: int, long: int) -> dict[str, Any]:
    rule = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * long}
    return {"type": "Sequence", "normalizers": [rule] * times}


_SPLIT = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}

PAYLOADS = (
    Payload(name="tokenizer.json is a pipe", attempt=_fifo),
    Payload(name="tokenizer.json: 100 MB", attempt=_large_vocabulary, bytes=2 << 30, quick=False),
    Payload(name="tokenizer.json: ids beyond the vocabulary", attempt=_ids_beyond),
    _tokenizer("texts that grow", "a" * 10, normalizer=_replacing(40, 100)),
    _tokenizer("a text that grows once", "a" * 10, normalizer=_replacing(1, 10_000_000)),
    _tokenizer("decoder that grows", "a" * 10, decoder={
        "type": "Sequence", "decoders": _replacing(40, 100)["normalizers"]}),
    _tokenizer("pattern without end", "a" * 3000 + "b", pre_tokenizer=_SPLIT),
    _tokenizer("broken pattern", pre_tokenizer=_SPLIT | {"pattern": {"Regex": "(((("}}),
    _tokenizer("broken table", normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="}),
    _tokenizer("unknown rule", normalizer={"type": "Planted"}),
    _tokenizer("padding", padding={"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None,
                                   "pad_id": 0, "pad_type_id": 0, "pad_token": "</s>"}),
    _tokenizer("merges of nothing", model={"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]]}),
    _tokenizer("a token that is long", added_tokens=[{"id": 1, "content": "a" * 1_000_000, "single_word": False,
               "lstrip": False, "rstrip": False, "normalized": False, "special": True}]),
    _tokenizer("tokens of the same id", added_tokens=[{"id": 0, "content": word, "single_word": False, "lstrip": False,
               "rstrip": False, "normalized": False, "special": True} for word in "abc"]),
)  # fmt: skip
