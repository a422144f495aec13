"""A score for each answer such that the better one of a pair scores higher (Bradley & Terry 1952)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from furrow.components.events import Emit
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objective import RewardObjective
from furrow.components.fine_tuner.pytorch.objectives import Share
from furrow.components.fine_tuner.pytorch.objectives.last_token import head_logits
from furrow.components.records import AnyExample, Pair


def bradley_terry(chosen: torch.Tensor, rejected: torch.Tensor, margins: torch.Tensor, centre: float) -> torch.Tensor:
    """The sum over pairs of -log sigmoid(chosen - rejected - margin) + centre · (chosen + rejected)². All are [pairs].

    The first term knows differences only; the second keeps the scores around 0 (Eisenstein et al. 2023, section 4).
    """
    return (-F.logsigmoid(chosen - rejected - margins) + centre * (chosen + rejected) ** 2).sum()


class Reward:
    """The mean of `bradley_terry` over the pairs of the whole effective batch, as in TRL's RewardTrainer."""

    has_perplexity = False

    def __init__(self, config: RewardObjective) -> None:
        self._centre = config.center_rewards_coefficient

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Nothing."""

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> int:
        """How many pairs the effective batch has."""
        return len(batch)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: int) -> Share:
        pairs = [row for row in micro if isinstance(row, Pair)]
        scores = head_logits(forward, [(pair.chosen, pair.rejected) for pair in pairs]).view(-1, 2)
        chosen, rejected = scores[:, 0], scores[:, 1]
        margins = torch.tensor([pair.margin or 0.0 for pair in pairs], device=scores.device)
        loss = bradley_terry(chosen, rejected, margins, self._centre) / context
        return Share(loss, _sums(scores.detach()))

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """`accuracy`: share of pairs whose better answer scores higher; `margin`: mean difference of the two scores;
        `score`: mean of all scores, from which they may drift together."""
        pairs, right, margin, total = sums["figures"].tolist()
        return {"accuracy": right / pairs, "margin": margin / pairs, "score": total / (2 * pairs)}


def _sums(scores: torch.Tensor) -> dict[str, torch.Tensor]:
    """Pairs, pairs in the right order, sum of the differences, sum of the scores: one tensor, read in one go."""
    wide = torch.float32 if scores.device.type == "mps" else torch.float64  # MPS has no float64
    chosen, rejected = scores.to(wide).unbind(1)
    figures = (torch.ones_like(chosen), chosen > rejected, chosen - rejected, chosen + rejected)
    return {"figures": torch.stack([figure.to(wide).sum() for figure in figures])}
