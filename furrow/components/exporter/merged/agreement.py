"""How far two models' answers lie apart: their logits, compared at every position of the same tokens."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from furrow.components.events import ExportVerified

Logits = np.ndarray[Any, np.dtype[np.float32]]
"""float32 [positions, vocabulary]"""


@dataclass(frozen=True)
class Agreement:
    """KL(reference || other) in nats per position, largest difference of a logit, share of equal argmaxes."""

    mean_kl: float
    max_kl: float
    max_abs: float
    top1: float
    positions: int

    def event(self, path: Path) -> ExportVerified:
        """These figures as the event of what was published at `path`."""
        return ExportVerified(
            path=str(path),
            mean_kl=self.mean_kl,
            max_kl=self.max_kl,
            max_abs=self.max_abs,
            top1_agreement=self.top1,
            positions=self.positions,
        )


@dataclass(frozen=True)
class Gate:
    """The most that two models may differ and still be called the same; NaN never passes."""

    mean_kl: float
    max_abs: float = math.inf

    def passes(self, agreement: Agreement) -> bool:
        return agreement.mean_kl <= self.mean_kl and agreement.max_abs <= self.max_abs


def agreement(reference: Iterable[Logits], other: Iterable[Logits]) -> Agreement:
    """Compare two models' logits text by text. Knows nothing about where they come from.

    Raises ValueError if a text's logits differ in shape, or if there is no position at all.
    """
    divergences: list[np.ndarray[Any, Any]] = []
    largest, same = 0.0, 0
    for one, two in zip(reference, other, strict=True):
        if one.shape != two.shape:
            raise ValueError(f"logits of shape {one.shape} against {two.shape}")
        divergences.append(_kl(one, two))
        largest = max(largest, float(np.abs(one - two).max()))
        same += int((one.argmax(-1) == two.argmax(-1)).sum())
    kl = np.concatenate(divergences) if divergences else np.empty(0)
    if not kl.size:
        raise ValueError("there is no position to compare")
    if not np.isfinite(kl).all():  # max() above would let a NaN slip through
        return Agreement(math.nan, math.nan, math.nan, same / kl.size, kl.size)
    return Agreement(float(kl.mean()), float(kl.max()), largest, same / kl.size, kl.size)


def _kl(reference: Logits, other: Logits) -> np.ndarray[Any, np.dtype[np.float64]]:
    """KL in float64: in float32 the rounding alone is 1e-7, as much as the gate for equal models."""
    log_p, log_q = _log_softmax(reference), _log_softmax(other)
    return np.maximum((np.exp(log_p) * (log_p - log_q)).sum(-1), 0.0)


def _log_softmax(logits: Logits) -> np.ndarray[Any, np.dtype[np.float64]]:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
