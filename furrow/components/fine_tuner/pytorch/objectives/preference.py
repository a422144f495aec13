"""Learning from pairs: of two answers to one prompt, the better one shall become the likelier one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch

from furrow.components.events import Emit
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.objective import DpoObjective, OrpoObjective, SimpoObjective
from furrow.components.fine_tuner.pytorch.objectives import Share
from furrow.components.fine_tuner.pytorch.objectives.preference_losses import (
    hinge_loss,
    ipo_loss,
    odds_loss,
    sigmoid_loss,
    simpo_loss,
)
from furrow.components.fine_tuner.pytorch.objectives.reference import Reference
from furrow.components.records import AnyExample, Pair, learned_tokens


@dataclass(frozen=True)
class Answers:
    """The answers of some pairs under the model: summed log-probabilities and how many tokens, each [pairs]."""

    chosen: torch.Tensor
    rejected: torch.Tensor
    chosen_tokens: torch.Tensor
    rejected_tokens: torch.Tensor

    @classmethod
    def of(cls, pairs: Sequence[Pair], forward: Forward) -> Answers:
        """Both answers of a pair go through the model as one group, which shares the prompt's computation."""
        states = forward([pair.sequences for pair in pairs])
        sums, tokens = states.sequence_logps(), states.layout.learned
        return cls(sums[0::2], sums[1::2], tokens[0::2], tokens[1::2])

    @property
    def mean_chosen(self) -> torch.Tensor:
        """By token."""
        return self.chosen / self.chosen_tokens

    @property
    def mean_rejected(self) -> torch.Tensor:
        return self.rejected / self.rejected_tokens


@dataclass
class Dpo:
    """Direct preference optimisation. An answer's reward is beta times its log-ratio to the reference."""

    config: DpoObjective
    has_perplexity = False
    _reference: Reference = field(default_factory=Reference)

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        self._reference.measure(examples, forward, emit)

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> int:
        """How many pairs the effective batch has: its loss is their mean."""
        return len(batch)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: int) -> Share:
        pairs = cast(Sequence[Pair], micro)
        answers = Answers.of(pairs, forward)
        chosen = answers.chosen - self._reference.of([pair.chosen for pair in pairs], answers.chosen)
        rejected = answers.rejected - self._reference.of([pair.rejected for pair in pairs], answers.rejected)
        config = self.config
        match config.loss:
            case "sigmoid":
                losses = sigmoid_loss(chosen - rejected, config.beta, config.label_smoothing)
            case "hinge":
                losses = hinge_loss(chosen - rejected, config.beta)
            case "ipo":
                mean_lead = chosen / answers.chosen_tokens - rejected / answers.rejected_tokens
                losses = ipo_loss(mean_lead, config.beta)
        figures = _figures(config.beta * chosen, config.beta * rejected, answers.chosen, answers.rejected)
        return Share(losses.sum() / context, figures)

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        return means(sums)


@dataclass
class Orpo:
    """Odds ratio preference optimisation: the chosen answers' mean -log p by token, plus beta times the odds loss.

    The first part counts the answers' tokens, as sft does and as the paper's equation 2 says. TRL counts the prompt's
    tokens too, which would teach the model to write prompts; with prompts of one token (which nothing predicts) both
    are the same number.
    """

    config: OrpoObjective
    has_perplexity = False

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Nothing: there is no reference."""

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> tuple[int, int]:
        """(pairs, tokens of chosen answers) of the effective batch."""
        return len(batch), learned_tokens(pair.chosen for pair in cast(Sequence[Pair], batch))

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: tuple[int, int]) -> Share:
        pairs, tokens = context
        answers = Answers.of(cast(Sequence[Pair], micro), forward)
        odds = odds_loss(answers.mean_chosen, answers.mean_rejected)
        loss = -answers.chosen.sum() / tokens + self.config.beta * odds.sum() / pairs
        beta, chosen, rejected = self.config.beta, answers.mean_chosen, answers.mean_rejected
        figures = _figures(beta * chosen, beta * rejected, chosen, rejected)
        return Share(loss, {**figures, "odds_loss": odds.detach().sum()})

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        return means(sums)


@dataclass
class Simpo:
    """SimPO. An answer's reward is beta times its mean log-probability by token."""

    config: SimpoObjective
    has_perplexity = False

    def prepare(self, examples: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        """Nothing: there is no reference."""

    def context(self, batch: Sequence[AnyExample], forward: Forward) -> int:
        """How many pairs the effective batch has: its loss is their mean."""
        return len(batch)

    def share(self, micro: Sequence[AnyExample], forward: Forward, context: int) -> Share:
        answers = Answers.of(cast(Sequence[Pair], micro), forward)
        chosen, rejected, beta = answers.mean_chosen, answers.mean_rejected, self.config.beta
        losses = simpo_loss(chosen, rejected, beta, self.config.gamma)
        return Share(losses.sum() / context, _figures(beta * chosen, beta * rejected, chosen, rejected))

    def metrics(self, sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
        return means(sums)


@torch.no_grad()
def _figures(
    chosen_rewards: torch.Tensor, rejected_rewards: torch.Tensor, chosen: torch.Tensor, rejected: torch.Tensor
) -> dict[str, torch.Tensor]:
    """By TRL's names; `pairs` counts them. `logps` are what the objective looks at: of answers, or by token."""
    return {
        "pairs": torch.tensor(float(len(chosen_rewards)), device=chosen.device),
        "rewards/chosen": chosen_rewards.sum(),
        "rewards/rejected": rejected_rewards.sum(),
        "rewards/margins": (chosen_rewards - rejected_rewards).sum(),
        "rewards/accuracies": (chosen_rewards > rejected_rewards).sum(),
        "logps/chosen": chosen.sum(),
        "logps/rejected": rejected.sum(),
    }


def means(sums: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Every figure by pair, in one wait for the device."""
    values = dict(zip(sums, torch.stack([value.float() for value in sums.values()]).tolist(), strict=True))
    pairs = values.pop("pairs")
    return {name: value / pairs for name, value in values.items()}
