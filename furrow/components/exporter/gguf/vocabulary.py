"""The tokenizer as GGUF keeps it: tokens with kinds and scores, merges, and what is added around a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gguf
from gguf import TokenType

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf import pre_tokenizers
from furrow.components.exporter.gguf.spaces import SPACE, adds_space_prefix, parts

_FORMS = ("NFC", "NFD", "NFKC", "NFKD")
_LAST = -1e9
"""Score of a token that no merge makes: llama.cpp joins to it only where nothing else is left."""


@dataclass(frozen=True)
class Vocabulary:
    """`model` is llama.cpp's tokenizer: `gpt2` merges bytes by rank, `llama` merges characters by score."""

    model: str
    pre: str
    tokens: list[str]
    kinds: list[TokenType]
    scores: list[float]
    merges: list[str]
    special: dict[str, int]
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool
    strips_right: bool
    """Special tokens swallow the white space after them (Phi-3)."""

    def padded(self, rows: int) -> Vocabulary:
        """With unused tokens up to the rows of the embeddings; FurrowError if a token has no row."""
        if len(self.tokens) > rows:
            raise FurrowError(
                f"the tokenizer has token id {len(self.tokens) - 1}, the embeddings have only {rows} rows",
                remedy="resize the embeddings to the tokenizer, or use the tokenizer the model was trained with",
            )
        more = rows - len(self.tokens)
        return replace(
            self,
            tokens=self.tokens + [f"[PAD{len(self.tokens) + number}]" for number in range(more)],
            kinds=self.kinds + [TokenType.UNUSED] * more,
            scores=self.scores + [_LAST] * more,
        )


def normal_form(tokenizer: Any) -> str | None:
    """The Unicode form that the tokenizer brings text into before it cuts; llama.cpp brings it into none."""
    stored = json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"]
    forms = [str(node["type"]) for node in parts(stored, "normalizers") if node["type"] in _FORMS]
    return forms[0] if forms else None


def read_vocabulary(tokenizer: Any, prompts: Sequence[str], end_of_turn: str | None) -> Vocabulary:
    """What llama.cpp must know of a transformers tokenizer; `prompts` show how text begins in practice.

    Raises FurrowError for tokenizers that llama.cpp has no equal of.
    """
    stored = json.loads(tokenizer.backend_tokenizer.to_str())
    model = stored["model"]
    if model["type"] != "BPE":
        raise FurrowError(f"a tokenizer of type {model['type']} cannot be written as GGUF; only BPE can")
    by_characters = bool(model.get("byte_fallback"))
    read = _read_characters if by_characters else _read_bytes
    ids = tokenizer("a").input_ids
    tokens, kinds = _tokens(stored, by_characters)
    vocabulary = Vocabulary(
        model="llama" if by_characters else "gpt2",
        pre="default",
        tokens=tokens,
        kinds=kinds,
        scores=[0.0] * len(tokens),
        merges=[],
        special=_special_ids(tokenizer, end_of_turn),
        add_bos=tokenizer.bos_token_id is not None and ids[0] == tokenizer.bos_token_id,
        add_eos=len(ids) > 1 and ids[-1] == tokenizer.eos_token_id,
        add_space_prefix=False,
        strips_right=any(token["special"] and token["rstrip"] for token in stored["added_tokens"]),
    )
    return read(vocabulary, stored, tokenizer, prompts)


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    """Write every key of the tokenizer, also where the default would do: it differs between kinds of tokenizer."""
    writer.add_tokenizer_model(vocabulary.model)
    writer.add_tokenizer_pre(vocabulary.pre)
    writer.add_token_list(vocabulary.tokens)
    writer.add_token_types(vocabulary.kinds)
    if vocabulary.model == "llama":
        writer.add_token_scores(vocabulary.scores)
    else:
        writer.add_token_merges(vocabulary.merges)
    for name, number in vocabulary.special.items():
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", number)
    writer.add_add_bos_token(vocabulary.add_bos)
    writer.add_add_eos_token(vocabulary.add_eos)
    writer.add_add_space_prefix(vocabulary.add_space_prefix)


def _read_bytes(base: Vocabulary, stored: dict[str, Any], tokenizer: Any, prompts: Sequence[str]) -> Vocabulary:
    """A byte-level tokenizer: its merges are written as they are."""
    model = stored["model"]
    pre = pre_tokenizers.name_of(stored["pre_tokenizer"], bool(model.get("ignore_merges")))
    if pre is None:
        raise FurrowError(
            "llama.cpp has no pre-tokenizer that cuts text as this tokenizer.json does",
            remedy=f"known are those of {', '.join(sorted(pre_tokenizers.NAMES.values()))}",
        )
    _refuse_normalizer(stored)
    merges = [" ".join(merge) if not isinstance(merge, str) else merge for merge in model["merges"]]
    return replace(base, pre=pre, merges=merges)


def _read_characters(base: Vocabulary, stored: dict[str, Any], tokenizer: Any, prompts: Sequence[str]) -> Vocabulary:
    """A SentencePiece-like tokenizer: the rank of the first merge that makes a token becomes its score."""
    missing = sum(f"<0x{byte:02X}>" not in stored["model"]["vocab"] for byte in range(256))
    if missing:
        raise FurrowError(f"the tokenizer falls back to bytes and lacks {missing} of the 256 byte tokens")
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(stored["model"]["merges"]):
        ranks.setdefault("".join(merge.split(" ") if isinstance(merge, str) else merge), rank)
    scores = [float(-ranks[token]) if token in ranks else _LAST for token in base.tokens]
    return replace(base, scores=scores, add_space_prefix=adds_space_prefix(stored, tokenizer, prompts))


def _tokens(stored: dict[str, Any], by_characters: bool) -> tuple[list[str], list[TokenType]]:
    """Tokens and their kinds by id; ids that nothing has are unused."""
    texts = {number: text for text, number in stored["model"]["vocab"].items()}
    kinds = {number: _kind(text, stored, by_characters) for number, text in texts.items()}
    for added in stored["added_tokens"]:
        # llama.cpp looks added tokens up in text whose spaces are not replaced yet
        texts[added["id"]] = added["content"].replace(SPACE, " ") if by_characters else added["content"]
        if kinds.get(added["id"]) is not TokenType.UNKNOWN:
            kinds[added["id"]] = TokenType.CONTROL if added["special"] else TokenType.USER_DEFINED
    size = max(texts) + 1
    return (
        [texts.get(number, f"[PAD{number}]") for number in range(size)],
        [kinds.get(number, TokenType.UNUSED) for number in range(size)],
    )


def _kind(text: str, stored: dict[str, Any], by_characters: bool) -> TokenType:
    if by_characters and text == stored["model"].get("unk_token"):
        return TokenType.UNKNOWN
    if by_characters and len(text) == 6 and text.startswith("<0x") and text.endswith(">"):
        return TokenType.BYTE
    return TokenType.NORMAL


def _special_ids(tokenizer: Any, end_of_turn: str | None) -> dict[str, int]:
    """Ids under llama.cpp's names. EOS stands in for a missing BOS: the default, 1 or 11, is an ordinary token."""
    if tokenizer.eos_token_id is None:
        raise FurrowError("the tokenizer has no end token (eos_token); llama.cpp would take an ordinary one for it")
    ids = {"bos": tokenizer.bos_token_id, "eos": tokenizer.eos_token_id, "padding": tokenizer.pad_token_id}
    ids["unknown"] = tokenizer.unk_token_id
    if ids["bos"] is None:
        ids["bos"] = ids["eos"]
    if end_of_turn is not None and end_of_turn != tokenizer.eos_token:
        number = tokenizer.get_vocab().get(end_of_turn)
        if number is None:
            raise FurrowError(f"the template ends a turn with {end_of_turn!r}, which is not one token of the tokenizer")
        ids["eot"] = number
    return {name: int(number) for name, number in ids.items() if number is not None}


def _refuse_normalizer(stored: dict[str, Any]) -> None:
    """A Unicode form can be brought about beforehand; llama.cpp can do nothing else to the text."""
    others = [node["type"] for node in parts(stored["normalizer"], "normalizers") if node["type"] not in _FORMS]
    if others:
        raise FurrowError(f"the tokenizer changes text by {', '.join(others)} before it cuts, and llama.cpp does not")
