"""What is minimised. An objective knows rows and losses; it knows nothing of optimisers, nor of how a batch is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from furrow.components.events import Emit
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.records import AnyExample


@dataclass(frozen=True)
class Share:
    """What a micro-batch adds to its effective batch: the shares' losses add up to the batch's loss (a scalar), their
    `sums` to what `metrics` is computed from. Nothing in `sums` carries a gradient."""

    loss: torch.Tensor
    sums: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """Rows in, a loss out, in shares that do not depend on the cut."""

    @property
    def has_perplexity(self) -> bool:
        """Whether exp(loss) is a perplexity: the loss is a mean of -log p over tokens."""
        ...

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Called once, with all rows, before the first step (model in eval mode, no gradients)."""
        ...

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> Any:
        """What a share must know of the whole effective batch: what it is divided by, above all. Called without
        gradients, at every step; one that computes forward does so `evaluating` the model."""
        ...

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: Any) -> Share:
        """The share of these rows, differentiable."""
        ...

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Figures to show, from the added sums of an effective batch or of an evaluation."""
        ...
