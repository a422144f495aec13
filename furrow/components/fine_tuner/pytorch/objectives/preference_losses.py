"""The losses of preferences, as pure functions on tensors: one number a pair, or a verdict. They know no model.

Log-probabilities are in nats and of whole answers (sums over their tokens) unless a name says `mean` (by token).
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

_CERTAIN = -1e-7
"""Log-probabilities above this count as this: at exactly 0, odds are infinite and their gradient is no number."""


def sigmoid_loss(lead: torch.Tensor, beta: float, label_smoothing: float = 0.0) -> torch.Tensor:
    """-log of the chance that the chosen answer wins (Bradley-Terry), given by how much it leads.

    DPO (Rafailov et al. 2023, eq. 7) with `lead` the difference of the log-ratios to the reference. `label_smoothing`
    is the chance that the pair is the wrong way round ("conservative DPO", Mitchell 2023).
    """
    return -(1 - label_smoothing) * logsigmoid(beta * lead) - label_smoothing * logsigmoid(-beta * lead)


def hinge_loss(lead: torch.Tensor, beta: float) -> torch.Tensor:
    """Zero as soon as the chosen answer leads by 1 / beta (SLiC-HF, Zhao et al. 2023, with DPO's reward)."""
    return torch.relu(1 - beta * lead)


def ipo_loss(mean_lead: torch.Tensor, beta: float) -> torch.Tensor:
    """The square of what is missing to the lead 1 / (2 · beta) (Azar et al. 2023, eq. 17; beta is its tau).

    `mean_lead` is the difference of the log-ratios by token. The paper writes whole answers; its authors confirmed to
    TRL that their results come from this form, in which the aim does not depend on the length of an answer.
    """
    return (mean_lead - 1 / (2 * beta)) ** 2


def odds_loss(mean_chosen: torch.Tensor, mean_rejected: torch.Tensor) -> torch.Tensor:
    """-log sigmoid of the log odds ratio of two answers (ORPO, Hong et al. 2024, eq. 7); p is exp(mean log p)."""
    chosen, rejected = mean_chosen.clamp(max=_CERTAIN), mean_rejected.clamp(max=_CERTAIN)
    return -logsigmoid(chosen - rejected - log1mexp(chosen) + log1mexp(rejected))


def simpo_loss(mean_chosen: torch.Tensor, mean_rejected: torch.Tensor, beta: float, gamma: float) -> torch.Tensor:
    """Bradley-Terry on mean log-probabilities with a margin (Meng et al. 2024, eq. 6)."""
    return -logsigmoid(beta * (mean_chosen - mean_rejected) - gamma)


def kto_loss(ratios: torch.Tensor, desirable: torch.Tensor, drift: torch.Tensor, beta: float) -> torch.Tensor:
    """1 - sigmoid of how much better (desirable) or worse an answer fares than the model's drift (Ethayarajh et al.
    2024, eq. 8), without its weights.

    `ratios` are log-ratios to the reference; `drift` is the estimated KL from the reference, at least 0.
    """
    return 1 - torch.sigmoid(beta * torch.where(desirable, ratios - drift, drift - ratios))


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x < 0, by that one of two forms which does not cancel (Mächler 2012)."""
    near_zero = x > -0.6931471805599453
    return torch.where(near_zero, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))
