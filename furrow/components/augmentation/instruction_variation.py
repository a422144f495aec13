"""Augmentation `instruction_variation`: the same request in other phrasings, by rules."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field, field_validator

from furrow.components.augmentation import Ask, AugmentationConfig, Unusable
from furrow.components.augmentation.phrasings import OPENINGS, PATTERNS, QUESTION_WORDS, VERBS
from furrow.components.augmentation.texts import Place, texts_of, with_texts
from furrow.components.records import Row
from furrow.components.registry import Component

Phrase = Annotated[str, Field(min_length=1, max_length=1000)]
_PLACEHOLDER = re.compile(r"\{(instruction|request|question)\}")


class InstructionVariationConfig(AugmentationConfig):
    """Phrasings of your own, and those that come with Furrow, which are English."""

    patterns: tuple[Phrase, ...] = ()
    """Phrasings, each with one placeholder. `{instruction}` is the text as it stands. `{request}` is one sentence that
    begins with a verb that asks for something ("Write a poem." as `write a poem`), so that "Could you {request}?" fits.
    `{question}` is one sentence that begins with a question word ("Who was it?" as `who was it`). A pattern is used
    where its placeholder fits."""
    openings: dict[Phrase, Annotated[tuple[Phrase, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """What a text may begin with -> what may stand there instead, e.g. {How do I: [How can I]}."""
    shipped: bool = True
    """Use the phrasings that come with Furrow, too."""

    @field_validator("patterns")
    @classmethod
    def _with_one_placeholder(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            if len(_PLACEHOLDER.findall(pattern)) != 1:
                raise ValueError(f"{pattern!r} needs one of {{instruction}}, {{request}}, {{question}}, once")
        return patterns


class InstructionVariation:
    """Implements `Augmentation`. Of all phrasings that fit a text, the first in an order that seed and text draw."""

    def __init__(self, config: InstructionVariationConfig, ask: Ask | None = None) -> None:
        self._config = config
        self._patterns = tuple(dict.fromkeys((*config.patterns, *(PATTERNS if config.shipped else ()))))
        self._openings: dict[str, Sequence[str]] = {**(OPENINGS if config.shipped else {}), **config.openings}

    def variants(self, row: Row) -> Iterator[Row | Unusable]:
        phrased = {place: self._phrasings(text) for place, text in texts_of(row, self._config.columns).items()}
        for number in range(min(self._config.variants, max(map(len, phrased.values()), default=0))):
            texts: Mapping[Place, str] = {
                place: found[number % len(found)] for place, found in phrased.items() if found
            }
            yield with_texts(row, texts)

    def _phrasings(self, text: str) -> list[str]:
        """All that fit, each once and none as the text is, in drawn order."""
        fitting = {"instruction": text}
        if core := _one_sentence(text):
            first = core.partition(" ")[0].casefold()
            if first in VERBS and not text.rstrip().endswith("?"):
                fitting["request"] = core[0].lower() + core[1:]
            elif first in QUESTION_WORDS and text.rstrip().endswith("?"):
                fitting["question"] = core[0].lower() + core[1:]
        found = [
            pattern[: match.start()] + fitting[match[1]] + pattern[match.end() :]
            for pattern in self._patterns
            if (match := _PLACEHOLDER.search(pattern)) and match[1] in fitting
        ]
        begun = [opening for opening in self._openings if re.match(rf"{re.escape(opening)}(?!\w)", text)]
        if begun:
            opening = max(begun, key=len)
            found += [other + text[len(opening) :] for other in self._openings[opening]]
        found = [each for each in dict.fromkeys(found) if each != text]
        return sorted(found, key=lambda each: self._lot(text, each))

    def _lot(self, text: str, phrasing: str) -> bytes:
        said = f"{self._config.seed} {text}\n{phrasing}".encode(errors="surrogatepass")
        return hashlib.blake2b(said, digest_size=16).digest()


def _one_sentence(text: str) -> str | None:
    """The text without its end mark where it is one sentence on one line, else None."""
    core = text.strip()
    core = core[:-1].rstrip() if core.endswith((".", "?", "!")) else core
    if not core or "\n" in core or re.search(r"[.?!:;]\s|[.?!:]\Z", core):
        return None
    return core


COMPONENT = Component(
    summary="puts instructions into other phrasings, by rules",
    config=InstructionVariationConfig,
    factory="furrow.components.augmentation.instruction_variation:InstructionVariation",
)
