"""Answers with a model of an Ollama server."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from furrow.components.errors import RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.ollama.component import OllamaAppConfig
from furrow.components.models.served import Served
from furrow.components.ollama_address import base_url
from furrow.components.ollama_api import OllamaApi, OllamaRefusal, options
from furrow.components.prompt_template import Message
from furrow.components.stopping import cut_at_stops


class OllamaApp:
    """One model of one server. Building it asks the server nothing."""

    def __init__(self, config: OllamaAppConfig, served: Served) -> None:
        self._api = OllamaApi(base_url(config.host))
        self._model = config.model or served.model_name
        self._served = served

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        """See `ModelApp`. Raises OllamaUnreachable or OllamaRefusal; RequestError if the server has no such model."""
        return cut_at_stops(self._pieces(prompt, generation, stop), stop)

    def chat(self, messages: Sequence[Message], generation: GenerationConfig) -> Iterator[str]:
        """See `ChatApp`; Ollama renders the messages by the model's own template."""
        body = {
            "model": self._model,
            "messages": [dict(message) for message in messages],
            "think": False,
            "truncate": False,
            "shift": False,
            "options": options(generation, ()),
            "stream": True,
        }
        try:
            for piece, reason in self._api.chat(body):
                yield piece
                if reason == "length":
                    raise CutOff(generation)
        except OllamaRefusal as refusal:
            if refusal.status != 404:
                raise
            raise self._unknown_model() from refusal

    def _pieces(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        if not prompt:
            raise RequestError("the prompt is empty", remedy="ask something")  # Ollama would only load the model
        try:
            yield from self._api.generate(
                {
                    "model": self._model,
                    "prompt": prompt,
                    "raw": True,  # the prompt is rendered already, by the template of the training
                    "think": False,
                    "truncate": False,  # a prompt that does not fit is an error, not a shorter prompt
                    "shift": False,  # an answer that does not fit ends, and does not push the prompt out
                    "options": options(generation, stop),
                    "stream": True,
                }
            )
        except OllamaRefusal as refusal:
            if refusal.status != 404:
                raise
            raise self._unknown_model() from refusal

    def _unknown_model(self) -> RequestError:
        source = shlex.quote(str(self._served.model.path))
        folder = shlex.quote(str(self._served.exports / "ollama"))
        return RequestError(
            f"Ollama at {self._api.url} has no model {self._model!r}",
            where="model_app.config.model",
            remedy=f"make it: furrow convert {source} {folder} --format ollama --model-name {shlex.quote(self._model)}",
        )
