"""The learning rate of every step: a curve over the run, by its name in transformers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR, LRScheduler
from transformers import get_scheduler

from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig

DECAY_SHARE = 0.2
"""Of warmup_stable_decay: a fifth of the run decays (Hägele et al. 2024, arXiv:2405.18392: 10-20 % do)."""
MIN_SHARE = 0.1
"""Of cosine_with_min_lr: the usual end, a tenth of the peak (Hoffmann et al. 2022, arXiv:2203.15556)."""


def make_schedule(optimizer: torch.optim.Optimizer, arguments: TrainingArgsConfig, total_steps: int) -> LRScheduler:
    """The schedule of `arguments.lr_scheduler_type`; every group of the optimiser follows it from its own peak."""
    return get_scheduler(
        arguments.lr_scheduler_type,
        optimizer,
        num_warmup_steps=warmup_steps(arguments, total_steps),
        num_training_steps=total_steps,
        scheduler_specific_kwargs=_shape(arguments, total_steps),
    )


def set_schedule(schedule: LRScheduler, step: int, scale: float = 1.0) -> None:
    """As after `step` steps, `scale` times the whole curve. The curve is the strategy's: a checkpoint does not overrule
    a learning rate that was changed since."""
    assert isinstance(schedule, LambdaLR)  # all of transformers' curves are
    groups = schedule.optimizer.param_groups
    schedule.base_lrs = [group["initial_lr"] * scale for group in groups]
    rates = [peak * factor(step) for peak, factor in zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)]
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    schedule.last_epoch, schedule._last_lr = step, rates


def _shape(arguments: TrainingArgsConfig, total_steps: int) -> dict[str, Any]:
    """What transformers calls the settings of this curve. What is not given keeps its default there, but min_lr."""
    cycles = {} if arguments.num_cycles is None else {"num_cycles": arguments.num_cycles}
    floor = arguments.min_lr
    match arguments.lr_scheduler_type:
        case "cosine":
            return cycles
        case "cosine_with_restarts":
            return {name: int(value) for name, value in cycles.items()}
        case "cosine_with_min_lr":
            return {**cycles, "min_lr": MIN_SHARE * arguments.learning_rate if floor is None else floor}
        case "polynomial":
            return {"lr_end": floor or 0.0, "power": 1.0 if arguments.power is None else arguments.power}
        case "warmup_stable_decay":
            decay = arguments.decay_steps or math.ceil((arguments.decay_ratio or DECAY_SHARE) * total_steps)
            # A short run, or a long warm-up, leaves less: the curve must end with the run, not after it.
            decay = min(decay, total_steps - warmup_steps(arguments, total_steps))
            return {**cycles, "num_decay_steps": decay, "min_lr_ratio": (floor or 0.0) / arguments.learning_rate}
        case _:
            return {}


def warmup_steps(arguments: TrainingArgsConfig, total: int) -> int:
    """warmup_steps where it is positive, else warmup_ratio of all steps, rounded up (as transformers does)."""
    return arguments.warmup_steps or math.ceil(arguments.warmup_ratio * total)
