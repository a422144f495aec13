"""Which token comes next: the sampling of transformers, in numpy.

llama.cpp's own samplers would answer otherwise: they penalise the last 64 tokens only, none of the prompt, and apply
the temperature after top-p. Here, as in `transformers.generation.logits_process`: penalty over the whole text,
temperature, top-k, top-p.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from furrow.components.generation import GenerationConfig

Vector = np.ndarray[Any, np.dtype[np.floating[Any]]]
"""[vocabulary]"""


class Sampler:
    """Chooses token after token of one answer and remembers which were there."""

    def __init__(self, generation: GenerationConfig, prompt: Sequence[int], vocabulary_size: int) -> None:
        self._generation = generation
        self._random = np.random.default_rng(abs(generation.seed))
        self._seen = np.zeros(vocabulary_size, dtype=bool)
        self._seen[list(prompt)] = True

    def choose(self, logits: Vector) -> int:
        """The next token: the likeliest at temperature 0, else drawn."""
        scores = self._penalised(logits)
        if self._generation.temperature == 0:
            token = int(scores.argmax())
        else:
            probabilities = self._probabilities(scores)
            token = int(self._random.choice(len(probabilities), p=probabilities))
        self._seen[token] = True
        return token

    def _penalised(self, logits: Vector) -> Vector:
        """Keskar et al. 2019 (CTRL): a token that was there loses, whichever sign its logit has."""
        penalty = self._generation.repetition_penalty
        if penalty == 1.0:
            return logits
        weaker = np.where(logits > 0, logits / penalty, logits * penalty)
        return np.where(self._seen, weaker, logits)

    def _probabilities(self, scores: Vector) -> Vector:
        """What is drawn from; tokens outside top-k or top-p have 0."""
        scores = scores.astype(np.float64) / self._generation.temperature
        order = np.argsort(-scores, kind="stable")
        ranked = np.exp(scores[order] - scores[order[0]])
        ranked[self._generation.top_k or len(ranked) :] = 0.0
        ranked /= ranked.sum()
        before = np.cumsum(ranked) - ranked  # the probability of all likelier tokens
        ranked[before >= self._generation.top_p] = 0.0
        probabilities = np.zeros_like(ranked)
        probabilities[order] = ranked / ranked.sum()
        return probabilities
