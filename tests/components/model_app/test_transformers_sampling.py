"""Sampling against transformers' own logits processors, and token by token against its generate()."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from furrow.components.generation import GenerationConfig
from furrow.components.model_app.transformers.sampling import next_token


def theirs(logits, context, generation):
    """Probabilities after transformers' processors, in the order in which generate() applies them."""
    ids, scores = torch.tensor([context]), logits[None].clone()
    processors = [RepetitionPenaltyLogitsProcessor(generation.repetition_penalty)]
    processors += [TemperatureLogitsWarper(generation.temperature)]
    processors += [TopKLogitsWarper(generation.top_k)] if generation.top_k else []
    processors += [TopPLogitsWarper(generation.top_p)] if generation.top_p < 1 else []
    for processor in processors:
        scores = processor(ids, scores)
    return scores[0].softmax(-1)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.7},
        {"temperature": 1.3, "top_k": 5},
        {"temperature": 1.0, "top_p": 0.8},
        {"temperature": 0.9, "top_k": 12, "top_p": 0.6, "repetition_penalty": 1.3},
    ],
)
def test_sampled_tokens_have_the_probabilities_of_transformers(settings):
    generation = GenerationConfig(**settings)
    logits, context = 3 * torch.randn(40, generator=torch.Generator().manual_seed(1)), [1, 5, 5, 9, 30]
    generator = torch.Generator().manual_seed(0)
    draws = 4000
    counts = torch.zeros(40)
    for _ in range(draws):
        counts[next_token(logits, context, generation, generator)] += 1
    expected = theirs(logits, context, generation)
    assert counts[expected == 0].sum() == 0
    assert torch.allclose(counts / draws, expected, atol=0.035)  # four standard deviations of 4,000 draws


@pytest.mark.parametrize("penalty", [1.0, 1.2, 2.0])
def test_greedy_answers_are_those_of_generate(penalty):
    torch.manual_seed(3)
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=60, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    ).eval()
    prompt = [3, 14, 15, 9, 2]
    wanted = model.generate(
        torch.tensor([prompt]), max_new_tokens=20, do_sample=False, repetition_penalty=penalty, eos_token_id=None
    )[0].tolist()
    generation, context = GenerationConfig(repetition_penalty=penalty), list(prompt)
    for _ in range(20):
        with torch.no_grad():
            logits = model(torch.tensor([context])).logits[0, -1]
        context.append(next_token(logits, context, generation, torch.Generator()))
    assert context == wanted
