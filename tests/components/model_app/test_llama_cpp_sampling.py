"""The same next token as transformers would take."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from furrow.components.generation import GenerationConfig
from furrow.components.model_app.llama_cpp.sampling import Sampler


def by_transformers(logits, prompt, generation):
    """What transformers draws from."""
    steps = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(generation.repetition_penalty)])
    steps.append(TemperatureLogitsWarper(generation.temperature))
    if generation.top_k:
        steps.append(TopKLogitsWarper(generation.top_k))
    if generation.top_p < 1:
        steps.append(TopPLogitsWarper(generation.top_p))
    scores = steps(torch.tensor([prompt]), torch.tensor([logits], dtype=torch.float64))
    return scores.softmax(-1)[0].numpy()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(-400, 400), min_size=3, max_size=12, unique=True),
    st.lists(st.integers(0, 2), min_size=1, max_size=5),
    st.floats(0.1, 2.0),
    st.integers(0, 5),
    st.floats(0.05, 1.0),
    st.floats(0.8, 2.0),
)
def test_the_draw_is_from_the_distribution_of_transformers(hundredths, prompt, temperature, top_k, top_p, penalty):
    generation = GenerationConfig(temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty)
    logits = np.array(hundredths, dtype=np.float64) / 100
    sampler = Sampler(generation, prompt, len(logits))
    ours = sampler._probabilities(sampler._penalised(logits))
    assert np.abs(ours - by_transformers(logits.tolist(), prompt, generation)).max() < 1e-9 or on_the_edge(
        logits, prompt, generation
    )


def on_the_edge(logits, prompt, generation):
    """Two equal logits at a border, or a sum that meets top_p to the last bit, may go either way."""
    for nudge in (1e-9, -1e-9):
        near = generation.model_copy(update={"top_p": min(max(generation.top_p + nudge, 1e-6), 1.0)})
        changed = by_transformers(logits.tolist(), prompt, near) - by_transformers(logits.tolist(), prompt, generation)
        if np.abs(changed).max() > 1e-6:
            return True
    penalised = Sampler(generation, prompt, len(logits))._penalised(logits)
    return len(np.unique(penalised)) < len(penalised)


def test_temperature_zero_takes_the_likeliest_token():
    sampler = Sampler(GenerationConfig(), [0], 4)
    assert sampler.choose(np.array([0.0, 3.0, 2.0, 1.0], dtype=np.float32)) == 1


def test_the_penalty_acts_on_the_prompt_however_long_ago_and_on_the_answer():
    generation = GenerationConfig(repetition_penalty=2.0)
    sampler = Sampler(generation, [1, *[0] * 500], 4)
    logits = np.array([-1.0, 4.0, 3.0, 2.5], dtype=np.float32)
    assert [sampler.choose(logits) for _ in range(3)] == [2, 3, 1]  # 1 halves to 2; then 2 to 1.5; then 3 to 1.25


def test_the_seed_repeats_the_draws_and_another_seed_does_not():
    def draws(seed):
        sampler = Sampler(GenerationConfig(temperature=1.0, seed=seed), [0], 50)
        return [sampler.choose(np.zeros(50, dtype=np.float32)) for _ in range(20)]

    assert draws(1) == draws(1) != draws(2)


def test_draws_are_as_frequent_as_they_are_probable():
    logits = np.log(np.array([0.6, 0.3, 0.1], dtype=np.float32))
    sampler = Sampler(GenerationConfig(temperature=1.0), [0], 3)
    counts = np.bincount([sampler.choose(logits) for _ in range(4000)], minlength=3) / 4000
    assert counts == pytest.approx([0.6, 0.3, 0.1], abs=0.03)
