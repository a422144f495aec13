"""How rewards become gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from furrow.components.config import Config

BY_TYPE = {"grpo": {"num_generations": 8, "beta": 0.0}, "rloo": {"num_generations": 4, "beta": 0.05}}
"""Defaults that differ; as in TRL, save that RLOO's two answers are four: with two, the baseline of each is the other
alone."""


class AlgorithmConfig(Config):
    """Several answers to each prompt are sampled; each is compared with the others of its prompt. What is better than
    they are becomes likelier, what is worse less likely."""

    type: Literal["grpo", "rloo"] = "grpo"
    """grpo (Shao et al. 2024, arXiv:2402.03300; loss and scale of TRL's defaults) divides the reward's distance from
    the mean of its prompt by the standard deviation; rloo (Ahmadian et al. 2024, arXiv:2402.14740) takes the distance
    from the mean of the others."""
    num_generations: Annotated[int, Field(ge=2)] = 8
    """Answers to each prompt. More are a steadier comparison and take longer. Default: 8 for grpo, 4 for rloo."""
    max_completion_length: Annotated[int, Field(ge=1)] = 256
    """Most tokens of an answer; time and memory go with it."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Of the sampling. Where all answers of a prompt come out alike there is nothing to compare: raise it."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Sample from the likeliest tokens that together have this probability."""
    beta: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the divergence (KL) from the model at the start, against answers that please the reward and nobody
    else. Costs one more forward pass where it is not 0. Default: 0 for grpo, 0.05 for rloo. Guide: 0.0-0.1."""
    epsilon: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Likelihood ratios beyond 1 ± epsilon have no gradient."""

    @model_validator(mode="before")
    @classmethod
    def _by_type(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {**BY_TYPE.get(str(given.get("type", "grpo")), {}), **given}
