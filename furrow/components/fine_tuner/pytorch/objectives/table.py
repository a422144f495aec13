"""Objective type -> what computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from furrow.components.fine_tuner.pytorch.objectives import Objective
from furrow.components.fine_tuner.pytorch.objectives.classification import Classification
from furrow.components.fine_tuner.pytorch.objectives.kto import Kto
from furrow.components.fine_tuner.pytorch.objectives.language import LanguageModelling
from furrow.components.fine_tuner.pytorch.objectives.preference import Dpo, Orpo, Simpo
from furrow.components.fine_tuner.pytorch.objectives.reward import Reward

OBJECTIVES: Mapping[str, Callable[[Any], Objective]] = {
    "sft": lambda config: LanguageModelling(),
    "pretrain": lambda config: LanguageModelling(),
    "dpo": Dpo,
    "orpo": Orpo,
    "simpo": Simpo,
    "kto": Kto,
    "classification": lambda config: Classification(),
    "reward": Reward,
}


def make_objective(config: Any) -> Objective:
    """The objective that this config (of objective.py) describes."""
    return OBJECTIVES[config.type](config)
