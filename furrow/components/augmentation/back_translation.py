"""Augmentation `back_translation`: a model translates into another language and back (Sennrich et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, field_validator

from furrow.components.augmentation import Ask, AskedModel, AugmentationConfig, Unusable
from furrow.components.augmentation.answers import (
    AskedGeneration,
    Unfit,
    answer_to,
    is_quoted,
    put_into,
    refuse_unfit,
    refuse_without,
)
from furrow.components.augmentation.texts import texts_of, with_texts
from furrow.components.records import Row
from furrow.components.registry import Component

Language = Annotated[str, Field(min_length=1, max_length=100)]


class BackTranslationConfig(AugmentationConfig):
    """Who translates, and through which languages."""

    model_app: AskedModel
    """The model that is asked: `{type, config}`. The texts of the rows are sent to where it runs."""
    language: Language = "English"
    """What the texts are written in, as the prompt is to say it."""
    pivot_languages: tuple[Language, ...] = Field(("German", "French", "Spanish"), min_length=1)
    """Languages to go through: the first variant takes the first one, the next the second, and so on; beyond the last
    they begin anew with another seed."""
    prompt: str = (
        "Translate the following text from {source} to {target}. Do not answer it and do not add anything. Keep "
        "numbers, names, code and placeholders exactly as they are. Reply with the translation only.\n\nText:\n{text}"
    )
    """What the model is asked, there and back; `{source}` and `{target}` are the languages, `{text}` the text."""
    generation: AskedGeneration = AskedGeneration()
    """How it answers; its seed is added to that of this augmentation."""

    _prompt_has_all = field_validator("prompt")(lambda prompt: refuse_without(prompt, "source", "target", "text"))


class BackTranslation:
    """Implements `Augmentation`."""

    def __init__(self, config: BackTranslationConfig, ask: Ask) -> None:
        self._config, self._ask = config, ask

    def variants(self, row: Row) -> Iterator[Row | Unusable]:
        texts = texts_of(row, self._config.columns)
        for number in range(self._config.variants):
            try:
                yield with_texts(row, {place: self._there_and_back(text, number) for place, text in texts.items()})
            except Unfit as unfit:
                yield Unusable(str(unfit))

    def _there_and_back(self, text: str, number: int) -> str:
        pivots, generation = self._config.pivot_languages, self._config.generation
        pivot = pivots[number % len(pivots)]
        seed = (generation.seed + self._config.seed + number // len(pivots)) % 2**32
        drawn = generation.model_copy(update={"seed": seed})
        said = text
        for source, target in ((self._config.language, pivot), (pivot, self._config.language)):
            question = put_into(self._config.prompt, source=source, target=target, text=said)
            said = answer_to(self._ask, question, drawn, quoted=is_quoted(text))
        return refuse_unfit(text, said)  # not on the way: 3.5 is 3,5 in German


COMPONENT = Component(
    summary="a model translates into another language and back",
    config=BackTranslationConfig,
    factory="furrow.components.augmentation.back_translation:BackTranslation",
)
