"""Augmentation `paraphrase`: a model says the same in other words."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import field_validator

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
from furrow.components.generation import GenerationConfig
from furrow.components.records import Row
from furrow.components.registry import Component


class ParaphraseConfig(AugmentationConfig):
    """Who is asked, and how."""

    model_app: AskedModel
    """The model that is asked: `{type, config}`. The texts of the rows are sent to where it runs."""
    prompt: str = (
        "Say the following text in other words. Keep its meaning, its language and its form: a question stays a "
        "question, an instruction stays an instruction. Do not answer it and do not add anything. Keep numbers, names, "
        "code and placeholders exactly as they are. Reply with the new text only.\n\nText:\n{text}"
    )
    """What the model is asked; `{text}` is where the text goes."""
    generation: AskedGeneration = AskedGeneration()
    """How it answers; its seed is added to that of this augmentation."""

    _prompt_has_a_text = field_validator("prompt")(lambda prompt: refuse_without(prompt, "text"))


class Paraphrase:
    """Implements `Augmentation`."""

    def __init__(self, config: ParaphraseConfig, ask: Ask) -> None:
        self._config, self._ask = config, ask

    def variants(self, row: Row) -> Iterator[Row | Unusable]:
        texts = texts_of(row, self._config.columns)
        generation = self._config.generation
        for number in range(self._config.variants):
            seed = (generation.seed + self._config.seed + number) % 2**32
            drawn = generation.model_copy(update={"seed": seed})
            try:
                yield with_texts(row, {place: self._said_otherwise(text, drawn) for place, text in texts.items()})
            except Unfit as unfit:
                yield Unusable(str(unfit))

    def _said_otherwise(self, text: str, generation: GenerationConfig) -> str:
        question = put_into(self._config.prompt, text=text)
        return refuse_unfit(text, answer_to(self._ask, question, generation, quoted=is_quoted(text)))


COMPONENT = Component(
    summary="a model says the same in other words",
    config=ParaphraseConfig,
    factory="furrow.components.augmentation.paraphrase:Paraphrase",
)
