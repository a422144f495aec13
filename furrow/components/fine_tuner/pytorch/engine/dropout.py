"""Dropout that belongs to a row, not to a micro-batch: the same zeros however an effective batch is cut."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.engine.batches import seed_of
from furrow.components.fine_tuner.pytorch.engine.layout import Layout
from furrow.components.records import Example

_GAMMA = 0x9E3779B97F4A7C15 - 2**64
_ROUNDS = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64), (31, 1))
"""Steele, Lea and Flood 2014 (splitmix64): shift and factor of each round, as signed numbers."""


class RowSeeds:
    """A seed for every sequence of the micro-batch that is being computed: a function of the step and of the
    sequence's place in the effective batch. Backward passes that compute activations again find the same seeds."""

    def __init__(self) -> None:
        self._step_seed = 0
        self._places: dict[int, int] = {}
        self._keys: tuple[int, torch.Tensor] | None = None
        self.layout: Layout | None = None

    def begin(self, step_seed: int, places: Mapping[int, int]) -> None:
        """A new effective batch; `places` is id(sequence) -> its place in it."""
        self._step_seed, self._places, self._keys = step_seed, dict(places), None

    def stands_for(self, copy: Example, original: Example) -> None:
        """`copy` goes through the model instead of `original`: it has its place."""
        if id(original) in self._places:
            self._places[id(copy)] = self._places[id(original)]

    def lay(self, layout: Layout) -> None:
        self.layout, self._keys = layout, None

    def _fits(self, shape: torch.Size) -> bool:
        assert self.layout is not None
        tokens, known = shape[:-1].numel(), self.layout.input_ids.numel()
        if self.layout.spans:
            return tokens == known
        return tokens >= known and tokens % len(self.layout.pieces) == 0  # virtual tokens may stand before each row

    def mask(self, shape: torch.Size, keep: float, module: int, like: torch.Tensor) -> torch.Tensor | None:
        """Zeros and 1/keep for activations of that shape ([1, tokens, d] or [rows, longest, d]); None where that is not
        the shape of all tokens."""
        assert self.layout is not None
        if not self._fits(shape):
            return None
        threshold = min(round(keep * 2**16), 2**16 - 1)
        width = 0 if self.layout.spans else shape[:-1].numel() // len(self.layout.pieces)
        if _few_launches(like.device):
            drawn = _hashed(self._token_keys(width, like.device), shape[-1], module)
            return (drawn < threshold - 2**15).to(like.dtype).mul_(2**16 / threshold).view(shape)
        virtual = max(width - self.layout.input_ids.shape[1], 0)
        mask = torch.ones(shape, dtype=like.dtype, device=like.device)
        rows = mask.view(-1, shape[-1])
        for number, (sequence, first, last) in enumerate(self.layout.pieces):
            start = self.layout.spans[number].start if self.layout.spans else number * width
            last += virtual
            seed = seed_of(self._step_seed, self._place(sequence) * 4096 + module)
            kept = _draw(last * shape[-1], seed, like.device).view(last, shape[-1])[first:] < threshold - 2**15
            torch.mul(kept, 2**16 / threshold, out=rows[start : start + last - first])
        return mask

    def _place(self, sequence: Example) -> int:
        """Before the first effective batch there is one row, on which the model is tried."""
        return self._places[id(sequence)] if self._places else 0

    def _token_keys(self, width: int, device: torch.device) -> torch.Tensor:
        """A number for every token, from the step, its row's place and its position in the row; made once a layout.

        `width`: tokens of a row that is padded; 0 where rows are not.
        """
        assert self.layout is not None
        if self._keys is None or self._keys[0] != width:
            pieces = self.layout.pieces
            seeds = torch.tensor([seed_of(self._step_seed, self._place(sequence)) for sequence, _, _ in pieces])
            if width:
                seeds, positions = seeds.repeat_interleave(width), torch.arange(width).repeat(len(pieces))
            else:
                seeds = seeds.repeat_interleave(torch.tensor([last - first for _, first, last in pieces]))
                positions = self.layout.position_ids.view(-1)
            keys = seeds.to(device).add_((positions.to(device) + 1) * _GAMMA)
            self._keys = width, _mix(keys)
        return self._keys[1]


_mask = RowSeeds.mask


def leave_out_of_graphs() -> None:
    """For compiled layers: masks are drawn between two graphs, so that another layout is no other graph."""
    RowSeeds.mask = torch.compiler.disable(_mask)  # type: ignore[method-assign, no-untyped-call]


def _few_launches(device: torch.device) -> bool:
    """Whether all rows are drawn at once. On a CPU a generator for each row is quicker; a GPU would be handed three
    kernels for each row and module, 70,000 in a forward pass of 32 rows, 32 layers and 7 adapters in each."""
    return device.type != "cpu"


def _hashed(keys: torch.Tensor, width: int, module: int) -> torch.Tensor:
    """[len(keys), width] numbers, uniform over the 16-bit integers, four from every hash of (token, module, column)."""
    columns = torch.arange(1, -(-width // 4) + 1, device=keys.device).mul_(_GAMMA).add_(seed_of(1, module))
    return _mix(keys[:, None] + columns).view(torch.int16)[:, :width]


def _mix(x: torch.Tensor) -> torch.Tensor:
    """Every number turned into another such that all bits count, in place."""
    for shift, factor in _ROUNDS:
        x ^= (x >> shift).bitwise_and_((1 << (64 - shift)) - 1)
        x *= factor
    return x


def _draw(count: int, seed: int, device: torch.device) -> torch.Tensor:
    """`count` numbers, uniform over the 16-bit integers: four from every draw, in a quarter of the time of floats."""
    generator = torch.Generator(device).manual_seed(seed)
    wide = torch.empty(-(-count // 4), dtype=torch.int64, device=device).random_(-(2**63), None, generator=generator)
    return wide.view(torch.int16)[:count]


class RowDropout(torch.nn.Module):
    """In the place of a `torch.nn.Dropout`; `number` tells the modules apart.

    What it is given must be of all tokens. `adapter`, the name of what it belongs to, is refused where it is not; a
    base's own (no name) draws there as torch does.
    """

    def __init__(self, p: float, seeds: RowSeeds, number: int, adapter: str | None = None) -> None:
        super().__init__()
        self.p, self._seeds, self._number, self._adapter = p, seeds, number, adapter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        mask = self._seeds.mask(x.shape, 1 - self.p, self._number, x)
        if mask is not None:
            return x * mask
        if self._adapter is not None:
            raise _not_of_all_tokens(self._adapter)
        return F.dropout(x, self.p)


def by_rows(model: Any, seeds: RowSeeds) -> list[str]:
    """Puts RowDropout in the place of every dropout: the adapters', and the base's own on activations.

    Returns what else the base drops out, on attention weights or without a module for it: that cannot belong to rows,
    and is off from here on. Raises RequestError where an adapter on the head would drop out.
    """
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = getattr(base, base.base_model_prefix)
    within, count = set(decoder.modules()), 0
    for name, module in list(model.named_modules()):
        if name.endswith("lora_dropout"):
            for adapter, dropout in module.items():
                if isinstance(dropout, torch.nn.Dropout) and dropout.p > 0:
                    place = name.removesuffix(".lora_dropout")
                    if module not in within:
                        raise _not_of_all_tokens(place)
                    module[adapter] = RowDropout(dropout.p, seeds, count, place)
                    count += 1
    off: set[str] = set()
    for module in list(decoder.modules()):
        for name, child in list(module.named_children()):
            if type(child) is torch.nn.Dropout and child.p > 0:
                if "att" in name:
                    off.add(f"{name} {child.p:g}")
                    child.p = 0.0
                else:
                    module._modules[name] = RowDropout(child.p, seeds, count)
                    count += 1
        for name, value in list(vars(module).items()):
            if "dropout" in name and isinstance(value, float) and value > 0:
                off.add(f"{name} {value:g}")
                setattr(module, name, 0.0)
    return sorted(off)


def _not_of_all_tokens(place: str) -> RequestError:
    return RequestError(
        f"the adapter on {place.split('.')[-1]} cannot have dropout: it is not given all tokens of a row ({place})",
        where="method.dropout",
        remedy=f"set it to 0.0, or leave {place.split('.')[-1]} out of method.target_modules",
    )
