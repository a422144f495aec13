"""The app `transformers`: base and adapter in this process, answering token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft import PeftModel

from furrow.components.errors import RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.own_template import own_template
from furrow.components.model_app.transformers.component import TransformersAppConfig
from furrow.components.model_app.transformers.device import device_of
from furrow.components.model_app.transformers.judge import TransformersJudge
from furrow.components.model_app.transformers.sampling import next_token
from furrow.components.models.loading import load_model
from furrow.components.models.pretrained import load_tokenizer
from furrow.components.models.served import Served
from furrow.components.prompt_template import Message
from furrow.components.stopping import cut_at_stops
from furrow.components.tokens import answer_ends, prompt_ids, refuse_unknown_tokens


def make_app(config: TransformersAppConfig, served: Served) -> TransformersApp | TransformersJudge:
    """What answers with this model: a `Judge` where it scores texts, else a `ModelApp`."""
    return TransformersApp(config, served) if served.model.labels is None else TransformersJudge(served)


class TransformersApp:
    """Implements `ModelApp`. Weights are fp32 on a CPU and as saved elsewhere."""

    def __init__(self, config: TransformersAppConfig, served: Served) -> None:
        self._device = device_of(served.device)
        self._tokenizer = load_tokenizer(served.model.tokenizer)
        dtype = torch.float32 if self._device.type == "cpu" else "auto"
        self._model = load_model(served.model, dtype=dtype, device=self._device)
        # Virtual tokens stand before the prompt; for what follows they are in the cache already.
        adapted = isinstance(self._model, PeftModel)
        self._inner = self._model.get_base_model() if adapted else self._model
        self._virtual = getattr(self._model.active_peft_config, "num_virtual_tokens", 0) if adapted else 0

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        ends = answer_ends(self._tokenizer, self._model.generation_config.eos_token_id, stop)
        return cut_at_stops(self._pieces(prompt, generation, ends), stop)

    def chat(self, messages: Sequence[Message], generation: GenerationConfig) -> Iterator[str]:
        """See `ChatApp`, by the chat template of the tokenizer."""
        template = own_template(self._tokenizer)
        stop = [*template.stop_sequences, *filter(None, [template.end_of_turn()])]
        ends = answer_ends(self._tokenizer, self._model.generation_config.eos_token_id, stop)
        return cut_at_stops(self._pieces(template.prompt(messages), generation, ends, whole=True), stop)

    @torch.inference_mode()
    def _pieces(
        self, prompt: str, generation: GenerationConfig, ends: set[int], *, whole: bool = False
    ) -> Iterator[str]:
        """The text of the answer, as far as its bytes make whole characters. `whole`: raises CutOff behind the last
        piece where the answer is not at its end there."""
        ids = prompt_ids(self._tokenizer, prompt)
        refuse_unknown_tokens(self._inner, [ids])
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest is not None and len(ids) + self._virtual >= longest:
            room = longest - self._virtual
            raise RequestError(
                f"the prompt has {len(ids)} tokens, the model takes fewer than {room}", remedy="shorten it"
            )
        generator = torch.Generator(device="cpu").manual_seed(generation.seed)
        given = torch.tensor([ids], device=self._device)
        answer: list[int] = []
        shown, cut = "", False
        output: Any = self._model(input_ids=given, use_cache=True)
        for number in range(generation.max_new_tokens):
            if number:
                output = self._inner(input_ids=given, past_key_values=output.past_key_values, use_cache=True)
            token = next_token(output.logits[0, -1].float().cpu(), [*ids, *answer], generation, generator)
            if token in ends:
                break
            answer.append(token)
            given = torch.tensor([[token]], device=self._device)
            text = self._tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):
                yield text[len(shown) :]
                shown = text
        else:
            cut = whole
        rest = self._tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if len(rest) > len(shown):
            yield rest[len(shown) :]
        if cut:
            raise CutOff(generation)
