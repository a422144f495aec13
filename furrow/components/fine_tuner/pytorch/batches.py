"""Which rows make up which step, and how they become tensors. Both are functions of (seed, step) and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from furrow.components.records import Example

IGNORED = -100
"""The label of a position that is not learned (torch's and transformers' convention)."""


@dataclass(frozen=True)
class Batch:
    """A micro-batch: `input_ids`, `attention_mask` and `labels` of shape [rows, longest row]."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class BatchPlan:
    """Cuts `rows` rows into effective batches; the last one of an epoch is smaller if the rows do not divide."""

    rows: int
    effective_rows: int
    epochs: float
    max_steps: int
    seed: int | None
    """Of the order of the rows; None keeps their own."""

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.rows / self.effective_rows)

    @property
    def total_steps(self) -> int:
        """max_steps where it is positive, else epochs in steps, rounded up as transformers does."""
        return self.max_steps if self.max_steps > 0 else math.ceil(self.epochs * self.steps_per_epoch)

    def steps(self) -> Iterator[list[int]]:
        """The row numbers of every step, an epoch after the other, each in its own shuffled order."""
        for step in range(self.total_steps):
            epoch, position = divmod(step, self.steps_per_epoch)
            if position == 0:
                order = self.order(epoch)
            yield order[position * self.effective_rows : (position + 1) * self.effective_rows]

    def order(self, epoch: int) -> list[int]:
        """The permutation of the rows in this epoch."""
        if self.seed is None:
            return list(range(self.rows))
        generator = torch.Generator().manual_seed(seed_of(self.seed, epoch))
        return torch.randperm(self.rows, generator=generator).tolist()

    def epoch_at(self, step: int) -> float:
        """Epochs finished after `step` steps."""
        return step / self.steps_per_epoch


def seed_of(seed: int, count: int) -> int:
    """One seed from the run's seed and a count (of epochs, of steps): far apart for neighbours, the same everywhere."""
    return (seed * 0x9E3779B97F4A7C15 + count * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**63


def micro_batches(examples: Sequence[Example], rows: int) -> Iterator[list[Example]]:
    """Cuts into pieces of at most `rows`; rows of like length come together, so that little is padding.

    The gradient is a sum over rows, so the order within an effective batch changes nothing.
    """
    ordered = sorted(examples, key=lambda example: len(example.input_ids))
    for start in range(0, len(ordered), rows):
        yield ordered[start : start + rows]


def collate(examples: Sequence[Example], pad_id: int, device: torch.device) -> Batch:
    """Pads on the right to the longest row."""
    longest = max(len(example.input_ids) for example in examples)
    input_ids = torch.full((len(examples), longest), pad_id, dtype=torch.long)
    labels = torch.full((len(examples), longest), IGNORED, dtype=torch.long)
    mask = torch.zeros((len(examples), longest), dtype=torch.long)
    for row, example in enumerate(examples):
        ids = torch.tensor(example.input_ids)
        input_ids[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
        labels[row, : len(ids)] = torch.where(torch.tensor(example.learned), ids, IGNORED)
    return Batch(input_ids.to(device), mask.to(device), labels.to(device))


def learned_tokens(examples: Sequence[Example]) -> int:
    """How many tokens these rows teach. The first token of a row has nothing before it and cannot be predicted."""
    return sum(sum(example.learned[1:]) for example in examples)
