"""Chooses the next token: repetition penalty, temperature, top-k and top-p, in the order of transformers."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from furrow.components.generation import GenerationConfig


def next_token(
    logits: torch.Tensor, context: Sequence[int], generation: GenerationConfig, generator: torch.Generator
) -> int:
    """`logits`: [vocabulary], fp32; `context`: the ids so far, prompt included (the penalty acts on all of them)."""
    if generation.repetition_penalty != 1.0:
        seen = torch.tensor(sorted(set(context)))
        penalised = logits[seen]
        logits = logits.clone()
        logits[seen] = torch.where(
            penalised > 0, penalised / generation.repetition_penalty, penalised * generation.repetition_penalty
        )
    if generation.temperature == 0:
        return int(logits.argmax())
    logits = logits / generation.temperature
    if generation.top_k:
        kth = logits.topk(min(generation.top_k, len(logits))).values[-1]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    probabilities = _nucleus(logits.softmax(-1), generation.top_p)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keeps the likeliest tokens that together reach `top_p`, the one that crosses it too (Holtzman et al. 2020)."""
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.zeros_like(probabilities)
    kept[order] = torch.where(before < top_p, ordered, 0.0)
    return kept
