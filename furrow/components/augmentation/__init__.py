"""Slot `augmentation`: out of a row come others that ask the same in other words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Protocol

from pydantic import Field, model_validator

from furrow.components.config import Config, problem_at
from furrow.components.errors import FurrowError
from furrow.components.generation import GenerationConfig
from furrow.components.records import Row
from furrow.components.registry import find


class AugmentationConfig(Config):
    """The settings of every augmentation; those of a type of your own begin with this class."""

    variants: Annotated[int, Field(ge=1, le=100)] = 1
    """Most rows that are made of one row."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training rows that are varied, about. Which ones hangs on the seed and on what a row says: rows that
    are added to the file change nothing for the others."""
    columns: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Columns whose text is varied. Default: the instruction, or the question where there is no instruction; in
    messages what the user says; the text of a classifier. An answer is varied only where its column is named here."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Another seed chooses other rows and other words."""


class AskedModel(Config):
    """The model that is asked: an app and its settings. It must name a model of its own, since nothing is trained yet:
    `{type: ollama, config: {model: …}}`, `{type: llama_cpp, config: {gguf: …}}`, `{type: openai_compatible, config:
    {base_url: …, model: …}}`, or `{type: transformers, config: {adapter: false}}`, the strategy's base model."""

    type: str
    """A model app: see components.model_app."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Its settings."""

    @model_validator(mode="before")
    @classmethod
    def _verify_app(cls, given: Any) -> Any:
        """The app's own config verifies `config`, and fills its defaults in."""
        if not isinstance(given, Mapping) or not isinstance(given.get("type"), str):
            return given
        try:
            component = find("model_app", given["type"])
        except FurrowError as error:
            raise problem_at("type", f"{error.what}; {error.remedy}", given["type"]) from error
        app = component.config.model_validate_json(json.dumps(given.get("config") or {}))
        if lacks := getattr(app, "lacks_own_model", None):
            raise problem_at("config", f"nothing is trained yet that could be asked: {lacks}", given.get("config"))
        return {**given, "config": app.model_dump(mode="json")}

    @property
    def told(self) -> str:
        """Which it is, for a person."""
        named = [str(self.config[key]) for key in ("model", "gguf", "base_url", "host") if self.config.get(key)]
        return f"{self.type} ({', '.join(named)})" if named else self.type

    @property
    def app(self) -> Config:
        """The settings, as the app's own class."""
        return find("model_app", self.type).config.model_validate_json(json.dumps(self.config))


class Unusable(NamedTuple):
    """Stands in the place of a row that could not be made; `why` is counted and said."""

    why: str


class Ask(Protocol):
    """The model that the key `model_app` of the settings names."""

    def __call__(self, question: str, generation: GenerationConfig) -> str:
        """Its whole answer, without white space around it; where the same was asked before, the answer that it gave
        then. Raises CutOff for an answer that max_new_tokens ended, FurrowError where the model cannot be had."""
        ...


class Augmentation(Protocol):
    """The factory takes the config (an `AugmentationConfig`) and an `Ask`, and returns one of these."""

    def variants(self, row: Row) -> Iterator[Row | Unusable]:
        """At most `variants` rows, each with some texts of `columns` changed and all else as it was, or what kept one
        from being made. The same for the same row, whatever was asked before. Raises RequestError for a row that has
        no such text, with its place."""
        ...
