"""Learning from verdicts: an answer that is liked shall become likelier, one that is not less likely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch

from furrow.components.events import Emit, Warned
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.fine_tuner.pytorch.objective import KtoObjective
from furrow.components.fine_tuner.pytorch.objectives import Share
from furrow.components.fine_tuner.pytorch.objectives.preference_losses import kto_loss
from furrow.components.fine_tuner.pytorch.objectives.reference import Reference, answer_logps
from furrow.components.records import AnyExample, Judged
from furrow.components.stored.views import Chained, Unrelated

_LEAST, _MOST = 0.95, 1.4
"""Of weight times number, desirable by undesirable: the paper's 1 to 4/3, and a little more to either side, since a
split for evaluation takes what it takes."""


@dataclass(frozen=True)
class Batch:
    """What a share must know of its effective batch: its rows, and how far the model is from the reference."""

    rows: int
    drift: torch.Tensor


@dataclass
class Kto:
    """Kahneman-Tversky optimisation. An answer's reward is beta times its log-ratio to the reference.

    Rewards are judged against the model's drift, its KL from the reference: were every answer likelier than before,
    none of them would be news. It is estimated from answers to other prompts (`Judged.unrelated`), as the mean of their
    log-ratios over the whole effective batch, at least 0, so that no cut changes it. Which row lends which answer is
    settled with the data, as in TRL, so that the reference is measured once for them too.
    """

    config: KtoObjective
    has_perplexity = False
    _reference: Reference = field(default_factory=Reference)

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        desirable = sum(cast(Judged, row).desirable for row in examples)
        if warning := self._imbalance(desirable, len(examples)):
            emit(warning)
        self._reference.measure(Chained(examples, Unrelated(examples)), forward, emit)

    def _imbalance(self, desirable: int, rows: int) -> Warned | None:
        """What there is to say where one kind of answers outweighs the other; within 1 : 1 and 4 : 3, nothing."""
        undesirable = rows - desirable
        if not desirable or not undesirable:
            kind = "undesirable" if desirable else "desirable"
            return Warned(
                message=f"not one of {rows} answers is {kind}: there is nothing to tell apart",
                remedy="give answers of both kinds, or train with the objective sft",
            )
        ratio = self.config.desirable_weight * desirable / (self.config.undesirable_weight * undesirable)
        if _LEAST <= ratio <= _MOST:
            return None
        return Warned(
            message=f"{desirable} answers are desirable and {undesirable} are not: by their weights, {ratio:.2f} to 1",
            remedy=f"set objective.undesirable_weight to {self.config.undesirable_weight * ratio:.3g}: then both weigh "
            "the same",
        )

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> Batch:
        unrelated = Unrelated(batch)
        with evaluating(forward.model):
            logps = answer_logps(unrelated, forward)
        drift = (logps - self._reference.of(unrelated, logps)).mean().clamp(min=0)
        return Batch(len(batch), drift)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: Batch) -> Share:
        judged = cast(Sequence[Judged], micro)
        logps = forward([row.sequences for row in judged]).sequence_logps()
        ratios = logps - self._reference.of([row.example for row in judged], logps)
        desirable = torch.tensor([row.desirable for row in judged], device=logps.device)
        config = self.config
        weights = torch.where(desirable, config.desirable_weight, config.undesirable_weight)
        losses = weights * kto_loss(ratios, desirable, context.drift, config.beta)
        return Share(losses.sum() / context.rows, self._figures(ratios, logps, desirable, context))

    @torch.no_grad()
    def _figures(
        self, ratios: torch.Tensor, logps: torch.Tensor, desirable: torch.Tensor, context: Batch
    ) -> dict[str, torch.Tensor]:
        rewards = self.config.beta * ratios
        return {
            "desirable": desirable.sum(),
            "undesirable": (~desirable).sum(),
            "rewards/chosen": rewards[desirable].sum(),
            "rewards/rejected": rewards[~desirable].sum(),
            "logps/chosen": logps[desirable].sum(),
            "logps/rejected": logps[~desirable].sum(),
            "kl": context.drift * len(ratios) / context.rows,
        }

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """By TRL's names; a figure of answers of which the batch has none is left out."""
        values = dict(zip(sums, torch.stack([value.float() for value in sums.values()]).tolist(), strict=True))
        counts = {"chosen": values.pop("desirable"), "rejected": values.pop("undesirable")}
        found = {"kl": values.pop("kl")}
        for name, value in values.items():
            if count := counts[name.rpartition("/")[2]]:
                found[name] = value / count
        if "rewards/chosen" in found and "rewards/rejected" in found:
            found["rewards/margins"] = found["rewards/chosen"] - found["rewards/rejected"]
        return found
