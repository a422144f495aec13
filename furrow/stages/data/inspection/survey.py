"""One way through all rows: which rules each breaks, and a few bytes of each for what is asked of all of them."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from furrow.components.errors import FurrowError
from furrow.components.records import Row
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.inspection.excerpts import excerpt
from furrow.stages.data.inspection.exchange import Exchange, exchange_of
from furrow.stages.data.places import Places
from furrow.stages.data.quality.characters import says_nothing
from furrow.stages.data.quality.languages import language_of
from furrow.stages.data.quality.rules import Rules
from furrow.stages.data.quality.texts import Texts
from furrow.stages.data.shingles import compared, plain
from furrow.strategies.quality_rules import QualityConfig

ALL_RULES = QualityConfig(
    mojibake=True,
    invisible_characters=True,
    markup=True,
    word_repetition=0.3,
    unfinished_answer=True,
    secrets=True,
    personal_data=True,
)
"""What is looked for, whatever the strategy drops. Lengths and languages are counted and not judged row by row."""
EXAMPLES = 3
UNKNOWN = "unknown"
_LONGEST_WORD = 40
"""Characters: more without a space is an address, a path or code."""
_LONG_ANSWER = 12
"""Words: shorter ones need no full stop."""
_FULL_STOP = re.compile(r"[.!?…。！？][\"'”’)\]*_`]*\s*$")
_EDGE = 5
"""Words at either end of an answer that are compared with others'."""
_JUDGED_EDGE = 8
"""Words of an answer from which on its ends are compared: of a shorter one they would be most of it."""


@dataclass
class Found:
    """Rows that have one fault."""

    where: Places = field(default_factory=Places)
    examples: list[str] = field(default_factory=list)

    def add(self, place: str, text: str, rule: str = "") -> None:
        self.where.add(place)
        if len(self.examples) < EXAMPLES:
            self.examples.append(excerpt(text, rule))


class Survey:
    """What it saw, row by row, in order. `bad` takes the rows that cannot be read as anything."""

    def __init__(self, bad: BadRows, config: QualityConfig = ALL_RULES) -> None:
        self._rules, self._texts, self._bad = Rules(config), Texts(), bad
        self.places = Places()
        """Of every row."""
        self.faults: dict[tuple[str, str], Found] = {}
        """(rule, reason) -> rows."""
        self.one_word = Found()
        self.answers = self.long_answers = self.stopped = 0
        """Rows with an answer; those of more than a few words; those of them that end with a full stop."""
        self.languages: Counter[str] = Counter()
        self.by_language: dict[str, Found] = {}
        self.row_lengths, self.question_lengths, self.answer_lengths = array("L"), array("L"), array("L")
        """In characters; of rows without an answer, the answer has none."""
        self.beginnings, self.endings = array("Q"), array("Q")
        """Digest of the first and the last words of each answer; 0 where it is too short."""
        self.asked, self.answered = array("Q"), array("Q")
        """Digest of each question, and of its answer or class, case and punctuation left out; 0 where there is none."""

    def see(self, rows: Iterable[Row]) -> None:
        for row in rows:
            try:
                self._see(row)
            except FurrowError as error:
                self._bad.caught(row, error)
                for values in (self.beginnings, self.endings, self.asked, self.answered):
                    values.append(0)
                self.places.add(row.where)

    def _see(self, row: Row) -> None:
        exchange, flaws = exchange_of(row, self._texts), self._rules.flaws(row)
        self.places.add(row.where)
        for flaw in flaws:
            self.faults.setdefault(flaw, Found()).add(row.where, exchange.told, flaw.rule)
        self._language(row, exchange)
        answer = exchange.answer or ""
        self.row_lengths.append(sum(len(text) for _, text in exchange.said))
        self.question_lengths.append(len(exchange.question))
        self.answer_lengths.append(len(answer))
        words = answer.split()
        edged = len(words) >= _JUDGED_EDGE
        self.beginnings.append(_digest(" ".join(words[:_EDGE])) if edged else 0)
        self.endings.append(_digest(" ".join(words[-_EDGE:])) if edged else 0)
        told = compared(row).label if exchange.answer is None else plain(answer)
        asks = bool(told) and not exchange.is_judged and bool(exchange.question.strip())
        self.asked.append(_digest(plain(exchange.question)) if asks else 0)
        self.answered.append(_digest(told) if asks else 0)
        if exchange.answer is not None:
            self._answer(row, answer, words)

    def _answer(self, row: Row, answer: str, words: list[str]) -> None:
        self.answers += 1
        if len(words) == 1 and len(answer) < _LONGEST_WORD and answer.isascii() and not says_nothing(answer):
            self.one_word.add(row.where, answer)
        if len(words) >= _LONG_ANSWER:
            self.long_answers += 1
            self.stopped += _FULL_STOP.search(answer[-20:]) is not None

    def _language(self, row: Row, exchange: Exchange) -> None:
        language = language_of(exchange.told) or UNKNOWN
        self.languages[language] += 1
        if language != UNKNOWN:
            self.by_language.setdefault(language, Found()).add(row.where, exchange.told)


def _digest(text: str) -> int:
    """8 bytes, never 0."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1
