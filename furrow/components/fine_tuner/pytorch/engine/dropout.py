"""Dropout that belongs to a row, not to a micro-batch: the same zeros however an effective batch is cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from furrow.components.fine_tuner.pytorch.engine.batches import seed_of
from furrow.components.fine_tuner.pytorch.engine.layout import Layout


class RowSeeds:
    """A seed for every sequence of the micro-batch that is being computed: a function of the step and of the
    sequence's place in the effective batch. Backward passes that compute activations again find the same seeds."""

    def __init__(self) -> None:
        self._step_seed = 0
        self._places: Mapping[int, int] = {}
        self.layout: Layout | None = None

    def begin(self, step_seed: int, places: Mapping[int, int]) -> None:
        """A new effective batch; `places` is id(sequence) -> its place in it."""
        self._step_seed, self._places = step_seed, places

    def lay(self, layout: Layout) -> None:
        self.layout = layout

    def mask(self, shape: torch.Size, keep: float, module: int, like: torch.Tensor) -> torch.Tensor:
        """Zeros and 1/keep for activations of that shape ([1, tokens, d] or [rows, longest, d])."""
        assert self.layout is not None
        mask = torch.ones(shape, dtype=like.dtype, device=like.device)
        rows = mask.view(-1, shape[-1])
        for start, (sequence, first, last) in zip(self._starts(shape), self.layout.pieces, strict=True):
            seed = seed_of(self._step_seed, self._places.get(id(sequence), 0) * 4096 + module)
            generator = torch.Generator(like.device).manual_seed(seed)
            drawn = torch.rand(last, shape[-1], generator=generator, device=like.device)
            rows[start : start + last - first] = (drawn[first:] < keep).to(like.dtype) / keep
        return mask

    def _starts(self, shape: torch.Size) -> list[int]:
        assert self.layout is not None
        if not self.layout.spans:
            return [row * shape[1] for row in range(len(self.layout.pieces))]
        return [span.start for span in self.layout.spans]


class RowDropout(torch.nn.Module):
    """In the place of a `torch.nn.Dropout` of an adapter; `number` tells the modules apart."""

    def __init__(self, p: float, seeds: RowSeeds, number: int) -> None:
        super().__init__()
        self.p, self._seeds, self._number = p, seeds, number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        return x * self._seeds.mask(x.shape, 1 - self.p, self._number, x)


def by_rows(model: Any, seeds: RowSeeds) -> int:
    """Puts RowDropout in the place of every adapter's dropout; returns how many."""
    count = 0
    for name, module in list(model.named_modules()):
        if name.endswith("lora_dropout"):
            for adapter, dropout in module.items():
                if isinstance(dropout, torch.nn.Dropout):
                    module[adapter] = RowDropout(dropout.p, seeds, count)
                    count += 1
    return count
