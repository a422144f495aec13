"""Which of llama.cpp's pre-tokenizers cuts text as a byte-level tokenizer.json does.

llama.cpp has the regular expressions built in, under names; a file carries only the name. The expressions here are the
ones of tokenizer.json that llama.cpp quotes beside each name (llama-vocab.cpp).
"""

from __future__ import annotations

from typing import Any

_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_START = r"[^\r\n\p{L}\p{N}]?"
_SLASH_REST = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_ENDINGS}|{_LETTERS}|\p{{N}}{{1,3}}|{_REST}"
_QWEN2 = rf"{_ENDINGS}|{_LETTERS}|\p{{N}}|{_REST}"
_TEKKEN = rf"{_START}{_UPPER}*{_LOWER}+|{_START}{_UPPER}+{_LOWER}*|\p{{N}}|{_SLASH_REST}"
_GPT4O = rf"{_START}{_UPPER}*{_LOWER}+{_ENDINGS}?|{_START}{_UPPER}+{_LOWER}*{_ENDINGS}?|\p{{N}}{{1,3}}|{_SLASH_REST}"

_Steps = tuple[str, ...]

NAMES: dict[_Steps, str] = {
    ("split " + _GPT2,): "gpt-2",
    ("digits one by one", "split " + _GPT2): "smollm",
    ("split " + _LLAMA3,): "llama-bpe",
    ("split " + _QWEN2,): "qwen2",
    ("split " + _TEKKEN,): "tekken",
    ("split " + _GPT4O,): "gpt-4o",
    ("punctuation", "split " + _GPT2, "digits", "split [0-9][0-9][0-9]"): "falcon",
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
            return ("split " + _GPT2,)
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
