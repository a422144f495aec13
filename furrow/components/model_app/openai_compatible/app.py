"""Answers with a server that speaks OpenAI's HTTP interface."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.openai_compatible.api import OpenAIApi
from furrow.components.model_app.openai_compatible.component import OpenAICompatibleConfig
from furrow.components.model_app.openai_compatible.key import key_for
from furrow.components.models.served import Served
from furrow.components.prompt_template import Message
from furrow.components.stopping import cut_at_stops

MOST_STOPS = 4
"""OpenAI's interface takes no more stop texts. Each answer is cut at all of them here as well."""


class OpenAICompatibleApp:
    """One model of one server. Building it asks the server nothing."""

    def __init__(self, config: OpenAICompatibleConfig, served: Served) -> None:
        """Raises RequestError where the key is not to be had, or not meant for this server."""
        key = key_for(config.base_url, config.api_key_env)
        self._api = OpenAIApi(config.base_url, key, timeout=config.timeout, retries=config.retries)
        self._model = config.model or served.model_name
        self._dialect = config.dialect

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        """See `ModelApp`. Raises ServerUnreachable or ServerRefusal."""
        return cut_at_stops(self._completed(prompt, generation, stop), stop)

    def chat(self, messages: Sequence[Message], generation: GenerationConfig) -> Iterator[str]:
        """See `ChatApp`; the server renders the messages by the model's own template."""
        body = {"messages": [dict(message) for message in messages], **self._settings(generation, ())}
        for choice in self._api.choices("/chat/completions", body):
            said = choice.get("delta") or choice.get("message") or {}
            if piece := said.get("content"):
                yield str(piece)
            if choice.get("finish_reason") == "length":
                raise CutOff(generation)

    def _completed(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        if not prompt:
            raise RequestError("the prompt is empty", remedy="ask something")
        for choice in self._api.choices("/completions", {"prompt": prompt, **self._settings(generation, stop)}):
            if piece := choice.get("text"):
                yield str(piece)

    def _settings(self, generation: GenerationConfig, stop: Sequence[str]) -> dict[str, Any]:
        """In the server's words; hidden defaults that would change an answer are named, as far as it knows them."""
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": generation.max_new_tokens,
            "temperature": generation.temperature,
            "top_p": generation.top_p,
            "seed": generation.seed,
            "stream": True,
        }
        if self._dialect == "llama_cpp":
            penalty = {"repeat_penalty": generation.repetition_penalty, "repeat_last_n": -1}
            body |= {"top_k": generation.top_k, "min_p": 0.0, **penalty}
        elif self._dialect == "vllm":
            body |= {"top_k": generation.top_k or -1, "min_p": 0.0, "repetition_penalty": generation.repetition_penalty}
        elif generation.repetition_penalty != 1.0 or (generation.top_k and generation.temperature):
            raise RequestError(
                "top_k and repetition_penalty are no part of OpenAI's interface",
                where="model_app.config.dialect",
                remedy="set dialect to llama_cpp or vllm where the server is one, or leave them at 0 and 1.0",
            )
        stops = [text for text in dict.fromkeys(stop) if text]
        stops = stops[:MOST_STOPS] if self._dialect == "openai" else stops
        return {**body, "stop": stops} if stops else body
