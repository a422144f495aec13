"""Rotary positions in three passes instead of five, keeping nothing but the angles."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Rotary(torch.autograd.Function):
    """apply(x, cos, sin) for x [1, tokens, heads, d] and angles [1, tokens, 1, d]: x cos + rotate_half(x) sin."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        half = x.shape[-1] // 2
        first, second = x[..., :half], x[..., half:]
        found = x * cos
        found[..., :half].addcmul_(second, sin[..., :half], value=-1)
        found[..., half:].addcmul_(first, sin[..., half:])
        return found

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        cos, sin = ctx.saved_tensors
        half = incoming.shape[-1] // 2
        first, second = incoming[..., :half], incoming[..., half:]
        found = incoming * cos
        found[..., :half].addcmul_(second, sin[..., half:])
        found[..., half:].addcmul_(first, sin[..., :half], value=-1)
        return found, None, None
