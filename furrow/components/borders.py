"""Where a tokenizer begins anew: places in a text at which what comes after is cut into tokens as if nothing stood
before it, and what stands before it as if nothing came after.

Such places let a long row be tokenised piece by piece, each piece once, with the tokens of the whole. There are two
kinds, both proved from how the library `tokenizers` works and never guessed from the tokens:

- behind a special token. They are cut out of a text first, from left to right, the longest that fits; normalising,
  cutting into words and the model see what lies between two of them and nothing else.
- between words: at a blank before a letter, and at a letter after a line end (both of ASCII). The expressions of GPT-2
  and its heirs never take a blank into the word before it nor a letter into the line end before it, and read no further
  than such a place to find where words before it end. SentencePiece vocabularies hold no word that goes across.

A tokenizer whose parts are not known here has none of them; then a row is tokenised as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from furrow.components.word_patterns import GPT2, GPT4O, LLAMA3, QWEN2, TEKKEN

_PATTERNS = frozenset({GPT2, LLAMA3, QWEN2, TEKKEN, GPT4O})
_BLANK = "\N{LOWER ONE EIGHTH BLOCK}"
"""What stands for a blank in SentencePiece vocabularies."""
_LOOK_BACK = 64
"""Characters in which the last place between words is looked for; further away it would save nothing."""
BEFORE_BLANK, BEFORE_LETTER = "a", "a\n"
"""What may stand before such a place in the stead of all that does."""
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Borders:
    """The places of one tokenizer. `specials` finds the special tokens in a text as the tokenizer does; None: there are
    none, or where they end depends on what comes next."""

    specials: re.Pattern[str] | None
    contents: frozenset[str]
    """Texts of the special tokens."""
    blank: bool
    """Whether it begins anew at a blank between a visible character and a letter."""
    line: bool
    """Whether at a letter after a line end."""

    def nearest(self, before: str) -> tuple[int, str] | None:
        """(the last such place in `before` that is worth while, what may stand in front of it in the stead of all that
        does); None where there is none. `before` must begin where a row does, or with a special token."""
        start = end = -1
        if self.specials is not None:
            for match in self.specials.finditer(before):
                start, end = match.span()
            if end >= 0 and len(before) - end <= _LOOK_BACK:
                return start, ""
        if self.blank or self.line:
            tail = max(end, len(before) - _LOOK_BACK, 0)
            if (found := _BLANK_OR_LINE[self.blank, self.line].match(before, tail)) is not None:
                place = found.end()
                return place, BEFORE_BLANK if before[place] == " " else BEFORE_LETTER
        return None if end < 0 else (start, "")

    def ends_row_parts(self, text: str) -> bool:
        """Whether the tokenizer finds this special token wherever it stands: no other one begins in front of it and
        ends in it, or holds it."""
        if text not in self.contents:
            return False
        heads = tuple(text[:length] for length in range(1, len(text)))
        return not any(other != text and (text in other or other.endswith(heads)) for other in self.contents)


_BLANK_OR_LINE = {
    (True, True): re.compile(r"(?s:.*)(?:(?<=[!-~])(?= [A-Za-z])|(?<=\n)(?=[A-Za-z]))"),
    (True, False): re.compile(r"(?s:.*)(?<=[!-~])(?= [A-Za-z])"),
    (False, True): re.compile(r"(?s:.*)(?<=\n)(?=[A-Za-z])"),
}
_NOT_CUT = re.compile(r"[!-~] |\n[A-Za-z]")
_ACROSS_BLANK = re.compile(f"[^{_BLANK}]{_BLANK}")
_ACROSS_LINE = re.compile(r"\n[A-Za-z]")

NOWHERE = Borders(None, frozenset(), blank=False, line=False)


def borders_of(backend: Any) -> Borders:
    """The places of a `tokenizers.Tokenizer`."""
    if getattr(backend.model, "dropout", None):
        return NOWHERE  # no two encodings are the same
    added = list(backend.get_added_tokens_decoder().values())
    if any(token.lstrip or token.rstrip or token.single_word for token in added):
        return NOWHERE  # what a token takes depends on its neighbours
    whole = frozenset(token.content for token in added if token.content and not token.normalized)
    found = "|".join(map(re.escape, sorted(whole, key=len, reverse=True)))
    specials = re.compile(found) if whole and not backend.encode_special_tokens else None
    blank = line = False
    if not any(_NOT_CUT.search(text) for token in added for text in _looked_for(token, backend.normalizer)):
        blank, line = _between_words(backend)
    return Borders(specials, whole if specials else frozenset(), blank, line)


def _looked_for(token: Any, normalizer: Any) -> list[str]:
    """The text that is an added token: as it stands and, where it is looked for in normalised text, as that has it,
    whose blanks are written as blanks again."""
    if not token.normalized or normalizer is None:
        return [token.content]
    text = normalizer.normalize_str(token.content)
    keeps_blanks = " " in normalizer.normalize_str("a a")
    return [token.content, text if keeps_blanks else text.replace(_BLANK, " ")]


def _between_words(backend: Any) -> tuple[bool, bool]:
    """(at a blank, at a letter after a line end)"""
    marks_blanks = False
    for step in steps_of(backend.normalizer, "normalizers"):
        match step:
            case {"type": "NFC" | "NFD" | "NFKC" | "NFKD" | "Lowercase"} | {"type": "Prepend", "prepend": "▁"}:
                pass
            case {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}:
                marks_blanks = True
            case _:
                return False, False
    blank = line = are_bytes = False
    for step in steps_of(backend.pre_tokenizer, "pretokenizers"):
        match step:
            case {"type": "Digits" | "Punctuation"}:
                pass
            case {"type": "ByteLevel", "use_regex": False}:
                are_bytes = True  # no later step finds a blank or a line end: other characters stand for them
            case {"type": "Metaspace", "replacement": "▁", "split": split} if not are_bytes:
                blank, marks_blanks = blank or bool(split), True
            case {"type": "Split", "pattern": {"String": " "}} if marks_blanks:
                pass  # there are none left
            case _ if not marks_blanks and _cuts_words(step):
                blank = line = blank or not are_bytes
                are_bytes = are_bytes or step["type"] == "ByteLevel"
            case _:
                return False, False
    if marks_blanks and not are_bytes and type(backend.model).__name__ == "BPE":
        by_words = _by_vocabulary(backend)
        return blank or by_words[0], line or by_words[1]
    return blank, line


def _cuts_words(step: Mapping[str, Any]) -> bool:
    match step:
        case {"type": "ByteLevel", "use_regex": True} | {"type": "Whitespace" | "WhitespaceSplit" | "BertPreTokenizer"}:
            return True
        case {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}:
            return expression in _PATTERNS
        case {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Removed", "invert": True}:
            return expression in _PATTERNS
    return False


def _by_vocabulary(backend: Any) -> tuple[bool, bool]:
    """Merges make words of the vocabulary; where none goes across a place, the two sides know nothing of each other.

    Unknown characters would: neighbours of that kind become one token. So both sides must be known. (Unigram chooses
    by sums over a whole text, which rounding may tip; it is not asked.)
    """
    if backend.model.continuing_subword_prefix or backend.model.end_of_word_suffix:
        return False, False
    vocabulary = backend.get_vocab(with_added_tokens=False)
    if not all(letter in vocabulary for letter in _LETTERS) or _BLANK not in vocabulary:
        return False, False
    return not _any(_ACROSS_BLANK, vocabulary), not _any(_ACROSS_LINE, vocabulary)


def _any(pattern: re.Pattern[str], words: Iterable[str]) -> bool:
    return any(pattern.search(word) for word in words)


def steps_of(part: Any, name: str) -> list[Mapping[str, Any]]:
    """A part of a tokenizer as tokenizer.json has it, sequences laid out."""
    return [] if part is None else _flat(json.loads(part.__getstate__()), name)


def _flat(step: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    if step["type"] != "Sequence":
        return [step]
    return [leaf for inner in step[name] for leaf in _flat(inner, name)]
