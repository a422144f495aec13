"""Next-token prediction: sft learns the answers, pretrain every token. Which tokens those are, the rows say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from furrow.components.events import Emit
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objectives import Share
from furrow.components.records import AnyExample, learned_weight


class LanguageModelling:
    """Mean cross-entropy in nats over the learned tokens of the whole effective batch, weighted where the rows say so.

    Dividing by the learned tokens of each micro-batch would weigh short answers more whenever the cut changes: the
    error that transformers mended in 2024 ("gradient accumulation fix").
    """

    has_perplexity = True

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Nothing."""

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> float:
        """How much the tokens count that the effective batch teaches: their number, or the sum of their weights."""
        return learned_weight(batch)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: float) -> Share:
        states = forward([(sequence,) for row in micro for sequence in row.sequences])
        return Share(states.summed_nll() / context)

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        return {}
