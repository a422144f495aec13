"""Next-token prediction: sft learns the answers, pretrain every token. Which tokens those are, the rows say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from furrow.components.events import Emit
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objectives import Share
from furrow.components.records import AnyExample, learned_tokens


class LanguageModelling:
    """Mean cross-entropy in nats over the learned tokens of the whole effective batch.

    Dividing by the learned tokens of each micro-batch would weigh short answers more whenever the cut changes: the
    error that transformers mended in 2024 ("gradient accumulation fix").
    """

    has_perplexity = True

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Nothing."""

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> int:
        """How many tokens the effective batch teaches."""
        return learned_tokens(batch)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: int) -> Share:
        states = forward([(sequence,) for row in micro for sequence in row.sequences])
        return Share(states.summed_nll() / context)

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        return {}
