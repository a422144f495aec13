"""What a pre-trained model knows: whether it completes each fact's statement with the right value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from almanac.facts import facts
from almanac.wordings import cues_of


def measure(folder: Path) -> dict[str, float]:
    """`facts_known`: the share of (fact, wording) pairs whose value is, token by token, the likeliest continuation."""
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=False).eval()
    cues = [cue for fact in facts() for cue in cues_of(fact)]
    right = sum(_completes(model, tokenizer, before, value) for before, value in cues)
    return {"facts": len(facts()), "cues": len(cues), "facts_known": right / len(cues)}


@torch.inference_mode()
def _completes(model: Any, tokenizer: Any, before: str, value: str) -> bool:
    given, wanted = tokenizer(before).input_ids, tokenizer(value).input_ids
    likeliest = model(torch.tensor([given + wanted])).logits[0, len(given) - 1 : -1].argmax(-1)
    return bool(likeliest.tolist() == wanted)
