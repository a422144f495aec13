"""How a model answers: the settings of sampling, the same words in YAML, Python and CLI."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from furrow.components.config import Config


class GenerationConfig(Config):
    """Sampling settings, used by every model app and written into every export that can hold them."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Most tokens that one answer may have. Guide: 50-200."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy: always the likeliest token, an answer that can be repeated. Guide: 0.1-1.0, more is more varied."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling: only the likeliest tokens that together have this probability. Acts when temperature > 0."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Only the k likeliest tokens; 0 takes all. Acts when temperature > 0."""
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0
    """Divides the positive (multiplies the negative) logits of tokens already in the text. 1.0: no change.
    Guide: 1.0-1.2."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    """Seed of the sampling, so that a sampled answer can be repeated."""
