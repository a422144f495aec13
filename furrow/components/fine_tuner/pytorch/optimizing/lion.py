"""Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2): every weight moves by the learning rate, in the direction of
the sign of an average of gradients. One average a weight, half of AdamW's memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """`betas`: the weight of the average in the step, and the average's own decay; `weight_decay` is decoupled."""

    def __init__(
        self, params: Iterable[Any], lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["average"] = torch.zeros_like(weight)
            averages = [self.state[weight]["average"] for weight in weights]
            in_step, kept = group["betas"]
            directions = torch._foreach_lerp(gradients, averages, in_step)
            torch._foreach_sign_(directions)
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, directions, alpha=-group["lr"])
            torch._foreach_lerp_(averages, gradients, 1 - kept)
