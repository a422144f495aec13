"""What is wrong with an answer as an answer: it is the question, too short, too long, or breaks off."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^\s*```", re.MULTILINE)
_CUT_AFTER = ",-–—([{:，、：（"
"""Nobody ends with one of these."""
_CUT_WORDS = frozenset(
    [
        "the",
        "and",
        "or",
        "but",
        "because",
        "und",
        "oder",
        "der",
        "dass",
        "weil",
        "eine",
        "einen",
        "für",
        "et",
        "les",
        "des",
        "du",
        "une",
        "avec",
        "que",
        "y",
        "los",
        "las",
        "para",
        "gli",
        "che",
        "uma",
    ]
)
"""Words that end no sentence, in English, German, French, Spanish, Italian and Portuguese; `no`, `of` and `an` may."""
_ITEM = re.compile(r"\s*([-*•·|>#+]|\d{1,3}[.):]|[A-Za-z][.)]\s|\S{1,30}:\s)")
"""A line of a list, a table or a heading, which has no full stop."""
_SENTENCE_END = re.compile(r"[.!?][\"'”’)]*\s+\S|[。！？]")
_LONG_LINE, _LONG_END, _CUT_LEAST = 12, 4, 4
"""Words: of a line that is a sentence even if nothing else has a full stop; behind the last full stop; of an answer
that may be cut at all."""
_UNSPACED = re.compile("[\u3040-\u30ff\u4e00-\u9fff]{4}$")
"""Chinese and Japanese at the end: words are not counted there."""
_NO_FULL_STOP = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]$")
"""Thai, Lao, Burmese and Khmer end sentences without one."""


def repeats_question(question: str, answer: str) -> str | None:
    """Why, where the answer says the question again and nothing else."""
    if question.lstrip()[:1].casefold()[:1] != answer.lstrip()[:1].casefold()[:1]:  # as it nearly always is
        return None
    same = question.casefold().split() == answer.casefold().split()
    return "repeats the question" if same else None


def too_short(answer: str, least: int) -> str | None:
    return f"has fewer than {least} words" if len(answer.split()) < least else None


def too_long(answer: str, most: int) -> str | None:
    return f"has more than {most:,} words" if len(answer.split()) > most else None


def unfinished(answer: str) -> str | None:
    """Why, where it seems to break off: inside a block of code, or in the middle of a sentence.

    A list, a heading, a name or a bare number ends without a full stop; so does all that somebody writes who never
    sets one. What tells a cut is a comma, a bracket or a word like `the` at the end, or prose that has full stops
    elsewhere.
    """
    if len(_FENCE.findall(answer)) % 2:
        return "breaks off inside a block of code"
    text = answer.rstrip()
    end = text[-1:]
    if not (end.isalnum() or end in _CUT_AFTER) or _NO_FULL_STOP.search(text):
        return None
    line = text.rpartition("\n")[2]
    words = line.split()
    last = words[-1].strip("\"'“”‘’").casefold() if words else ""
    if len(text.split()) >= _CUT_LEAST and (end in _CUT_AFTER or (last in _CUT_WORDS and words[-1].islower())):
        return "breaks off in the middle of a sentence"
    if _ITEM.match(line) or answer.lstrip().startswith(("{", "[", "<", "```")):
        return None
    last_end = max((found.end() for found in _SENTENCE_END.finditer(line)), default=0)
    behind = line[last_end - 1 :] if last_end else ""
    if len(words) >= _LONG_LINE or len(behind.split()) >= _LONG_END or (_UNSPACED.search(behind) and last_end):
        return "ends without a full stop"
    return None
