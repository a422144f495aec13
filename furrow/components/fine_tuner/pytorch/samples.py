"""What the model in training answers to fixed prompts: always the likeliest token, as the strategy would serve it.

The training does not notice: nothing random is drawn, and every module is put back into the mode that it was in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig

from furrow.components.events import Emit, Noted, Sampled
from furrow.components.fine_tuner import SamplePrompt
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.interruption import GivenUp, StopRequest
from furrow.components.stopping import cut_at_stops
from furrow.components.tokens import answer_ends, prompt_ids


@torch.no_grad()  # not inference_mode: what a module keeps of an inference tensor could not be trained through later
def sample(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[SamplePrompt],
    step: int,
    emit: Emit,
    stop: StopRequest | None = None,
) -> None:
    """Emits `Sampled` for each prompt. One that leaves the model no room to answer is left out, with a note before
    the first step. Raises GivenUp once `stop` is true."""
    with evaluating(model):
        for prompt in prompts:
            if stop:
                raise GivenUp
            ids = prompt_ids(tokenizer, prompt.prompt)
            room = min(prompt.max_new_tokens, (_longest(model) or len(ids) + prompt.max_new_tokens) - len(ids))
            if room > 0:
                completion = _answer(model, tokenizer, ids, room, prompt.stop)
                emit(Sampled(step=step, prompt=prompt.prompt, completion=completion, reference=prompt.reference))
            elif step == 0:
                emit(Noted(message=f"a sample prompt of {len(ids)} tokens leaves no room for an answer: left out"))


def _answer(model: Any, tokenizer: Any, ids: list[int], most: int, stop: Sequence[str]) -> str:
    ends = answer_ends(tokenizer, model.generation_config.eos_token_id, stop)
    given = torch.tensor([ids], device=next(model.parameters()).device)
    # All of these are said (as defaults): generate takes what is not from the generation_config.json of the base.
    settings = GenerationConfig(
        max_new_tokens=most,
        do_sample=False,
        num_beams=1,
        temperature=1.0,
        top_p=1.0,
        top_k=50,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        min_length=0,
        eos_token_id=sorted(ends) or None,
        pad_token_id=min(ends, default=0),
        use_cache=True,
    )
    out = model.generate(input_ids=given, attention_mask=torch.ones_like(given), generation_config=settings)
    answer = [token for token in out[0, len(ids) :].tolist() if token not in ends]
    text = tokenizer.decode(answer, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return "".join(cut_at_stops([text], stop)).strip()


def _longest(model: Any) -> int | None:
    """Most tokens that the model takes, where it says so."""
    return getattr(model.config, "max_position_embeddings", None)
