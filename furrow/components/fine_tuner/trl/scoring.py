"""Rewards in the form in which TRL calls them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import torch

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.trl.prompts import Prompt
from furrow.components.fine_tuner.trl.reward_model import RewardModel
from furrow.components.fine_tuner.trl.rewards import RewardConfig
from furrow.components.registry import factory, find


class Rollouts:
    """The answers that were rewarded last: how many tokens they have, and one of them to show."""

    def __init__(self) -> None:
        self.tokens = 0
        self.shown: tuple[Prompt, str] | None = None

    def note(self, prompts: Sequence[Prompt], completions: Sequence[str], ids: Sequence[Sequence[int]]) -> None:
        self.tokens = sum(map(len, ids))
        self.shown = (prompts[0], completions[0])


def names_of(rewards: Sequence[RewardConfig]) -> list[str]:
    """What the figures call each: its function or `model`, with a number from the second of that name on. TRL would
    mix the means of those that have one name."""
    names: list[str] = []
    for reward in rewards:
        name = reward.function or "model"
        counted = (f"{name}_{count}" for count in itertools.count(2))
        names.append(next(each for each in itertools.chain([name], counted) if each not in names))
    return names


def reward_function(
    config: RewardConfig,
    name: str,
    prompts: Sequence[Prompt],
    tokenizer: Any,
    device: torch.device,
    rollouts: Rollouts,
) -> Callable[..., list[float]]:
    """`number` is the data set's column that says which of `prompts` a completion answers."""
    if config.model is not None:
        score: Callable[..., list[float]] = RewardModel(config.model, tokenizer, device)
    else:
        score = _registered(config)

    def reward(completions: Any, completion_ids: Any, number: Any, **_: Any) -> list[float]:
        asked = [prompts[index] for index in number]
        rollouts.note(asked, completions, completion_ids)
        return score(asked, completions, completion_ids)

    reward.__name__ = name
    return reward


def _registered(config: RewardConfig) -> Callable[..., list[float]]:
    component = find("reward", str(config.function))
    function = factory(component)(component.config.model_validate_json(json.dumps(config.config)))

    def score(asked: Sequence[Prompt], completions: Sequence[str], _: Any) -> list[float]:
        rewards = function([prompt.text for prompt in asked], completions, [prompt.asked for prompt in asked])
        if len(rewards) != len(completions):
            raise FurrowError(
                f"the reward {config.function!r} gave {len(rewards)} numbers for {len(completions)} answers"
            )
        return rewards

    return score
