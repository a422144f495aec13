"""The rules by which rows are dropped: `data_preprocessing.filter_quality: {rule: setting, …}`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from furrow.components.config import Config

Share = Annotated[float, Field(gt=0, lt=1)]
Words = Annotated[int, Field(ge=1)]
Lines = Annotated[int, Field(ge=2)]
Language = Annotated[str, Field(pattern=r"^[a-z]{2}$")]
Off = Literal[False]


class QualityConfig(Config):
    """Rows that are dropped, rule by rule: `true` or a number, or `false` for a rule that drops nothing. What is not
    named has its default; `filter_quality: true` is all defaults. What a rule drops has no doubt about it by default;
    the others are for a person who has looked at what `data inspect` finds. Each row that is dropped is listed in
    dropped.jsonl with the rule and the reason."""

    empty: bool = True
    """No text: a question or an answer of nothing but spaces, or an answer without letter, digit or symbol."""
    control_characters: bool = True
    """Control characters of any text, other than tab and line ends: what a terminal or a broken file left behind."""
    replacement_character: bool = True
    """U+FFFD, which stands where a reader could not decode a byte."""
    mojibake: bool = False
    """UTF-8 that was read as Windows-1252, `itâ€™s` for `it’s`. Off by default: mending the file keeps the row."""
    invisible_characters: bool = False
    """Characters that nobody sees: zero-width spaces, soft hyphens, those that turn the direction of writing around."""
    markup: bool = False
    """Remains of a web page: `&nbsp;`, `&#39;`, `<br>`, `</div>`. Off by default: data about web pages is full of
    them."""
    character_repetition: Share | Off = 0.6
    """Largest share of a text that one character may have, of 20 characters or more without spaces. Default: 0.6; in
    prose the most frequent letter has about 0.12."""
    line_repetition: Lines | Off = 4
    """So many lines or more that are all the same are no text. Default: 4."""
    word_repetition: Share | Off = False
    """Largest share of the groups of five words in a text that may have stood in it before, of 20 words or more. Off
    by default; 0.3 finds a model that answered in circles, and few poems."""
    repeated_question: bool = True
    """An answer that says the question again and nothing else; case and spaces do not count."""
    same_answers: bool = True
    """Of two answers to choose from: both are the same."""
    min_words: Words | Off = False
    """Fewest words of an answer. Off by default: `206.` may be all there is to say."""
    max_words: Words | Off = False
    """Most words of an answer. Off by default; max_output_length cuts by tokens."""
    unfinished_answer: bool = False
    """An answer that breaks off in the middle of a sentence or of a block of code. Off by default: a guess by how it
    ends."""
    languages: tuple[Language, ...] | Off = False
    """Keep only rows whose answer is in one of these languages (ISO 639-1, e.g. [en, de]), or too short to tell. Off
    by default."""
    secrets: bool = False
    """Access tokens and private keys. Off by default: mask them in the file, and revoke them."""
    personal_data: bool = False
    """E-mail addresses, telephone, card and bank account numbers. Off by default: mask them in the file."""


def quality_config(setting: bool | QualityConfig) -> QualityConfig | None:
    """The rules that a strategy asks for; None where it asks for none."""
    if isinstance(setting, QualityConfig):
        return setting
    return QualityConfig() if setting else None
