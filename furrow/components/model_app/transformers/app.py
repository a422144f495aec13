"""The app `transformers`: base and adapter in this process, answering token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer

from furrow.components.errors import FurrowError, RequestError
from furrow.components.generation import GenerationConfig
from furrow.components.model_app.transformers.component import TransformersAppConfig
from furrow.components.model_app.transformers.sampling import next_token
from furrow.components.model_folder import ModelFolder
from furrow.components.served import Served
from furrow.components.stopping import cut_at_stops
from furrow.components.tokens import prompt_ids


class TransformersApp:
    """Implements `ModelApp`. Weights are fp32 on a CPU and as saved elsewhere."""

    def __init__(self, config: TransformersAppConfig, served: Served) -> None:
        self._device = _device(served.device)
        self._tokenizer = AutoTokenizer.from_pretrained(served.model.tokenizer, trust_remote_code=False)
        self._model = load_model(served.model, self._device)
        self._ends = _end_ids(self._model, self._tokenizer)

    def answer(self, prompt: str, generation: GenerationConfig, stop: Sequence[str]) -> Iterator[str]:
        ends = self._ends | {end for text in stop if (end := self._special_token(text)) is not None}
        return cut_at_stops(self._pieces(prompt, generation, ends), stop)

    def _special_token(self, text: str) -> int | None:
        """The id of a stop text that is a special token: such a token never shows up in the decoded text."""
        ids = self._tokenizer(text, add_special_tokens=False).input_ids
        return ids[0] if len(ids) == 1 and not self._tokenizer.decode(ids, skip_special_tokens=True) else None

    @torch.inference_mode()
    def _pieces(self, prompt: str, generation: GenerationConfig, ends: set[int]) -> Iterator[str]:
        """The text of the answer, as far as its bytes make whole characters."""
        ids = prompt_ids(self._tokenizer, prompt)
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest is not None and len(ids) >= longest:
            raise RequestError(
                f"the prompt has {len(ids)} tokens, the model takes fewer than {longest}", remedy="shorten it"
            )
        generator = torch.Generator(device="cpu").manual_seed(generation.seed)
        cache: Any = None
        given = torch.tensor([ids], device=self._device)
        answer: list[int] = []
        shown = ""
        for _ in range(generation.max_new_tokens):
            output = self._model(input_ids=given, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            token = next_token(output.logits[0, -1].float().cpu(), [*ids, *answer], generation, generator)
            if token in ends:
                break
            answer.append(token)
            given = torch.tensor([[token]], device=self._device)
            text = self._tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if not text.endswith("\N{REPLACEMENT CHARACTER}"):
                yield text[len(shown) :]
                shown = text
        rest = self._tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if len(rest) > len(shown):
            yield rest[len(shown) :]


def load_model(folder: ModelFolder, device: torch.device) -> Any:
    """The weights, with the adapter put on its base where there is one; ready to answer.

    Raises FurrowError where a file of weights is damaged.
    """
    dtype = torch.float32 if device.type == "cpu" else "auto"
    source = folder.base if folder.kind == "adapter" else str(folder.path)
    try:
        model = AutoModelForCausalLM.from_pretrained(source, dtype=dtype, trust_remote_code=False, use_safetensors=True)
        if folder.kind == "adapter":
            model = PeftModel.from_pretrained(model, str(folder.path))
    except SafetensorError as error:
        raise FurrowError(f"the weights in {folder.path} (or of {source}) are damaged: {error}") from error
    return model.to(device).eval()


def _device(asked: str) -> torch.device:
    if asked != "auto":
        return torch.device(asked)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends an answer: the tokenizer's, the model's (a list for many chat models)."""
    ends = model.generation_config.eos_token_id
    ids = set(ends) if isinstance(ends, list) else {ends}
    return {int(end) for end in ids | {tokenizer.eos_token_id} if end is not None}
