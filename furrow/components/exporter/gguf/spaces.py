"""Whether llama.cpp must put a space before the text, for tokenizers that write a space as U+2581."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from furrow.components.errors import FurrowError

SPACE = "\u2581"


def adds_space_prefix(stored: dict[str, Any], tokenizer: Any, prompts: Sequence[str]) -> bool:
    """Read from tokenizer.json (`stored`); where it depends on what text begins with, from the prompts.

    llama.cpp puts the space before the text and after every special token. Metaspace `first` puts it before the text
    only, and only where that begins with no special token: so a template that begins with one wants no prefix at all.
    Where a prefix is put, a text that begins with a space is beyond llama.cpp: it adds another, Metaspace adds none.
    """
    scheme = _scheme(stored)
    if scheme != "first":
        return scheme == "always"
    special = {token["id"] for token in stored["added_tokens"]}
    beginnings = [tokenizer(prompt, add_special_tokens=False).input_ids[:1] for prompt in prompts or ("a",)]
    return all(first and first[0] not in special for first in beginnings)


def _scheme(stored: dict[str, Any]) -> str:
    pre, normalizers = parts(stored["pre_tokenizer"], "pretokenizers"), parts(stored["normalizer"], "normalizers")
    for node in pre:
        if node["type"] == "Metaspace":
            return str(node["prepend_scheme"])
    kinds = [node["type"] for node in normalizers]
    if kinds == ["Prepend", "Replace"]:
        return "always"
    if kinds == ["Replace"]:
        return "never"
    raise FurrowError(
        f"the tokenizer treats spaces by {kinds or [node['type'] for node in pre]}, which llama.cpp has no equal of"
    )


def parts(node: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """The nodes of a part of tokenizer.json that may be one, none, or a Sequence of them under `key`."""
    if node is None:
        return []
    return list(node[key]) if node["type"] == "Sequence" else [node]
