"""Which of llama.cpp's pre-tokenizers cuts text as a byte-level tokenizer.json does.

llama.cpp has the regular expressions built in, under names; a file carries only the name. The expressions here are the
ones of tokenizer.json that llama.cpp quotes beside each name (llama-vocab.cpp).
"""

from __future__ import annotations

from typing import Any

from furrow.components.word_patterns import GPT2, GPT4O, LLAMA3, QWEN2, TEKKEN

_Steps = tuple[str, ...]

NAMES: dict[_Steps, str] = {
    ("split " + GPT2,): "gpt-2",
    ("digits one by one", "split " + GPT2): "smollm",
    ("split " + LLAMA3,): "llama-bpe",
    ("split " + QWEN2,): "qwen2",
    ("split " + TEKKEN,): "tekken",
    ("split " + GPT4O,): "gpt-4o",
    ("punctuation", "split " + GPT2, "digits", "split [0-9][0-9][0-9]"): "falcon",
}
"""The steps of a tokenizer.json -> llama.cpp's name for them."""

_BY_THE_MERGES = {"llama-bpe": "smaug-bpe"}
"""llama-bpe takes a word that is in the vocabulary whole (`ignore_merges`); the other cuts alike and does not."""


def name_of(pre_tokenizer: dict[str, Any] | None, ignore_merges: bool) -> str | None:
    """llama.cpp's name, or None where it has nothing that cuts alike."""
    steps = _steps(pre_tokenizer)
    name = NAMES.get(steps) if steps is not None else None
    return name if name is None or ignore_merges else _BY_THE_MERGES.get(name, name)


def _steps(node: dict[str, Any] | None) -> _Steps | None:
    """The cuts in order, in plain words; None if one of them is not known."""
    if node is None:
        return None
    if node["type"] == "Sequence":
        parts = [_steps(child) for child in node["pretokenizers"]]
        return None if None in parts else tuple(step for part in parts if part for step in part)
    return _step(node)


def _step(node: dict[str, Any]) -> _Steps | None:
    match node:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return ("split " + GPT2,)
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}:
            return ()
        case {"type": "Digits", "individual_digits": True}:
            return ("digits one by one",)
        case {"type": "Digits"}:
            return ("digits",)
        case {"type": "Punctuation", "behavior": "Contiguous"}:
            return ("punctuation",)
        case {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}:
            return ("split " + regex,)
        case {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Removed", "invert": True}:
            return ("split " + regex,)  # what matches is kept: the same, for expressions that match everything
    return None
