"""What `filter_quality` drops: fixed rules, so that the same file always loses the same rows, each with its reason."""

from __future__ import annotations

import unicodedata
from collections import Counter

from furrow.components.columns import conversation, known_shape, text
from furrow.components.preferences import answer_of, is_judged, is_pair, judged_as_given, pair_as_given
from furrow.components.records import Row

REPEATED_CHARACTER = 0.6
"""Share of a text that one character may have; in prose the most frequent letter has about 0.12."""
SHORTEST_JUDGED = 20
"""Characters: below this, repetition says nothing ('No!!!')."""
REPEATED_LINES = 4
"""So many lines or more that are all the same are no text."""


def flaw(row: Row) -> str | None:
    """Why the row is not worth learning, or None. Raises RequestError for messages that are no conversation.

    Knows nothing of what is true or well said. Of a row that judges answers, what is to be learned must be whole; a
    worse answer may be as bad as it likes, but not empty.
    """
    if is_pair(row):
        chosen, rejected = pair_as_given(row)
        if answer_of(chosen) == answer_of(rejected):
            return "both answers are the same"
        return flaw(chosen) or _empty(rejected, "rejected answer")
    if is_judged(row):
        answered, wanted = judged_as_given(row)
        return flaw(answered) if wanted else _empty(answered, "answer")
    match known_shape(row):
        case "text":
            return _flaw_of_text(text(row), "text")
        case None:
            texts = [value for value in row.columns.values() if isinstance(value, str)]
            return next((found for value in texts if (found := _broken(value, "text"))), None)
        case _:
            return _flaw_of_conversation([(turn["role"], turn["content"]) for turn in conversation(row)])


def _empty(row: Row, name: str) -> str | None:
    return None if answer_of(row).strip() else f"the {name} is empty"


def _flaw_of_conversation(turns: list[tuple[str, str]]) -> str | None:
    asked = ""
    for role, content in turns:
        if role == "user":
            asked = content
            found = "the question is empty" if not content.strip() else _broken(content, "question")
        elif role == "assistant":
            found = _flaw_of_text(content, "answer") or _echo(asked, content)
        else:
            found = _broken(content, "system message")
        if found:
            return found
    return None


def _flaw_of_text(content: str, name: str) -> str | None:
    if not content.strip():
        return f"the {name} is empty"
    if not any(_says_something(letter) for letter in content):
        return f"the {name} has no letter, digit or symbol"
    return _broken(content, name)


def _echo(question: str, answer: str) -> str | None:
    same = question.casefold().split() == answer.casefold().split()
    return "the answer repeats the question" if same else None


def _broken(content: str, name: str) -> str | None:
    """Damage that no text has: control characters, and one character or line over and over."""
    damaged = next((letter for letter in content if letter == "\ufffd" or _is_control(letter)), None)
    if damaged:
        return f"the {name} holds the control or replacement character U+{ord(damaged):04X}"
    letters = "".join(content.split())
    if len(letters) >= SHORTEST_JUDGED:
        letter, count = Counter(letters).most_common(1)[0]
        if count > REPEATED_CHARACTER * len(letters):
            return f"the {name} is mostly {letter!r}"
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if len(lines) >= REPEATED_LINES and len(set(lines)) == 1:
        return f"the {name} is one line {len(lines)} times"
    return None


def _says_something(letter: str) -> bool:
    """Letters, digits and symbols (emoji, +, =) of any script; punctuation and spaces say nothing."""
    return unicodedata.category(letter)[0] in "LNS"


def _is_control(letter: str) -> bool:
    return letter not in "\t\n\r" and unicodedata.category(letter) == "Cc"
