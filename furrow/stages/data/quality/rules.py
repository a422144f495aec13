"""The rules by which a row is broken, and the one that it breaks first. Knows nothing of what is true or well said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from furrow.components.columns import answer_is_null
from furrow.components.preferences import answer_of, is_pair, judged_as_given, pair_as_given
from furrow.components.records import Row
from furrow.stages.data.quality import answers, characters, private, repetition
from furrow.stages.data.quality.languages import language_of
from furrow.stages.data.quality.texts import Role, Said, Texts
from furrow.strategies.quality_rules import QualityConfig

Check = Callable[[str], str | None]
"""What is wrong with a text, without its name ('is empty'); None where nothing is."""


class Flaw(NamedTuple):
    """Which rule a row breaks, and how: one sentence, the same for all rows that break it in the same way."""

    rule: str
    reason: str


class Rules:
    """The rules of one strategy, ready to be asked about rows."""

    def __init__(self, config: QualityConfig | None = None) -> None:
        config = QualityConfig() if config is None else config
        self._texts, self._config = Texts(), config
        of_all = _of_every_text(config)
        of_text = [*_of_what_is_learned(config), *of_all]
        self._checks: dict[Role, list[tuple[str, Check]]] = {
            "question": [("empty", _empty), *of_all] if config.empty else of_all,
            "answer": [*of_text, *_of_answers(config)],
            "text": of_text,
            "message": of_all,
        }

    def flaw(self, row: Row) -> Flaw | None:
        """The first one, or None. Raises RequestError for messages that are no conversation."""
        if lacks := self._null_answer(row):
            return lacks
        said = self._texts.said(row)
        return self._of_judged(row) if said is None else next(self._found(said), None)

    def flaws(self, row: Row) -> list[Flaw]:
        """All of them, of each rule the first one."""
        if lacks := self._null_answer(row):
            return [lacks]
        said = self._texts.said(row)
        if said is None:
            found = self._of_judged(row)
            return [found] if found else []
        return list({flaw.rule: flaw for flaw in reversed(list(self._found(said)))}.values())[::-1]

    def _null_answer(self, row: Row) -> Flaw | None:
        lacks = self._config.empty and None in row.columns.values() and answer_is_null(row)
        return Flaw("empty", "the answer is null") if lacks else None

    def _found(self, said: Said) -> Iterator[Flaw]:
        asked = ""
        for role, text in said:
            for rule, check in self._checks[role]:
                if why := check(text):
                    yield Flaw(rule, f"the {role} {why}")
            if role == "question":
                asked = text
            elif role == "answer" and self._config.repeated_question and answers.repeats_question(asked, text):
                yield Flaw("repeated_question", "the answer repeats the question")

    def _of_judged(self, row: Row) -> Flaw | None:
        """What is to be learned must be whole; a worse answer may be as bad as it likes, but not empty."""
        if is_pair(row):
            chosen, rejected = pair_as_given(row)
            if self._config.same_answers and answer_of(chosen) == answer_of(rejected):
                return Flaw("same_answers", "both answers are the same")
            return self.flaw(chosen) or self._empty_answer(rejected, "rejected answer")
        answered, wanted = judged_as_given(row)
        return self.flaw(answered) if wanted else self._empty_answer(answered, "answer")

    def _empty_answer(self, row: Row, name: str) -> Flaw | None:
        is_empty = self._config.empty and not answer_of(row).strip()
        return Flaw("empty", f"the {name} is empty") if is_empty else None


def _of_what_is_learned(config: QualityConfig) -> list[tuple[str, Check]]:
    return [("empty", _says_nothing)] if config.empty else []


def _of_every_text(config: QualityConfig) -> list[tuple[str, Check]]:
    most_letters, least_lines, most_words = config.character_repetition, config.line_repetition, config.word_repetition
    checks: dict[str, Check] = {
        "control_characters": characters.control_character,
        "replacement_character": characters.replacement_character,
        "mojibake": characters.mojibake,
        "invisible_characters": characters.invisible_character,
        "markup": characters.markup,
        "character_repetition": lambda text: repetition.character_repetition(text, most_letters),
        "line_repetition": lambda text: repetition.line_repetition(text, least_lines),
        "word_repetition": lambda text: repetition.word_repetition(text, most_words),
        "secrets": private.secret,
        "personal_data": private.personal_data,
    }
    return [(rule, check) for rule, check in checks.items() if getattr(config, rule) is not False]


def _of_answers(config: QualityConfig) -> list[tuple[str, Check]]:
    least, most, languages = config.min_words, config.max_words, config.languages
    checks: dict[str, Check] = {
        "min_words": lambda text: answers.too_short(text, least),
        "max_words": lambda text: answers.too_long(text, most),
        "unfinished_answer": answers.unfinished,
        "languages": lambda text: _in_other_language(text, languages or ()),
    }
    return [(rule, check) for rule, check in checks.items() if getattr(config, rule) is not False]


def _empty(text: str) -> str | None:
    return "is empty" if not text or text.isspace() else None


def _says_nothing(text: str) -> str | None:
    return _empty(text) or ("has no letter, digit or symbol" if characters.says_nothing(text) else None)


def _in_other_language(text: str, wanted: tuple[str, ...]) -> str | None:
    language = language_of(text)
    return None if language is None or language in wanted else f"is in the language {language!r}"
