"""Answers with a GGUF file."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator, Sequence

from furrow.components.errors import RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.llama_cpp.component import LlamaCppConfig
from furrow.components.model_app.llama_cpp.find_gguf import find_gguf
from furrow.components.model_app.llama_cpp.model import LlamaModel
from furrow.components.model_app.llama_cpp.sampling import Sampler
from furrow.components.model_app.own_template import own_template
from furrow.components.models.served import Served
from furrow.components.prompt_template import Message
from furrow.components.stopping import cut_at_stops


class LlamaCppApp:
    """One model, loaded once. Greedy answers agree with the app `transformers` on the same prompt."""

    def __init__(self, config: LlamaCppConfig, served: Served) -> None:
        """Raises RequestError if there is no GGUF, FurrowError if llama.cpp refuses it."""
        self._model = LlamaModel(find_gguf(config.gguf, served), gpu=served.device != "cpu")
        self._limit = config.context or self._model.trained_context
        self._threads = config.threads or free_cores()

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        """See `ModelApp`. The answer also ends where the context is full; RequestError if the prompt alone fills it."""
        ends = {token for text in stop if (token := self._model.control_token(text)) is not None}
        return cut_at_stops(self._pieces(prompt, generation, ends), stop)

    def chat(self, messages: Sequence[Message], generation: GenerationConfig) -> Iterator[str]:
        """See `ChatApp`, by the template that the GGUF brings."""
        template = own_template(self._model)
        stop = [*template.stop_sequences, *filter(None, [template.end_of_turn()])]
        ends = {token for text in stop if (token := self._model.control_token(text)) is not None}
        return cut_at_stops(self._pieces(template.prompt(messages), generation, ends, whole=True), stop)

    def _pieces(
        self, prompt: str, generation: GenerationConfig, ends: set[int], *, whole: bool = False
    ) -> Iterator[str]:
        """`whole`: raises CutOff behind the last piece where the answer is not at its end there."""
        tokens = self._model.tokenize(prompt)
        new = min(generation.max_new_tokens, self._limit - len(tokens))
        if not tokens or new < 1:
            raise RequestError(
                f"the prompt has {len(tokens)} tokens, the context holds {self._limit}, the answer's included",
                remedy="ask with a shorter prompt, or set model_app.config.context higher"
                if tokens
                else "ask something",
            )
        sampler = Sampler(generation, tokens, self._model.vocabulary_size)
        cut = False
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a character may be cut by tokens
        with self._model.context(len(tokens) + new, self._threads) as context:
            for _ in range(new):
                token = sampler.choose(context.logits_after(tokens))
                if token in ends or self._model.ends_answer(token):
                    break
                if text := decoder.decode(self._model.piece(token)):
                    yield text
                tokens = [token]
            else:
                cut = whole
        if rest := decoder.decode(b"", final=True):
            yield rest
        if cut:
            raise CutOff(generation)


def free_cores() -> int:
    """Cores that this process may use and that nothing else keeps busy (by the load of the last minute); at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, cores - round(busy))
