"""RMSNorm in two passes over the activations forward and four backward, keeping its input and one number a token."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RMSNorm(torch.autograd.Function):
    """y = x / sqrt(mean(x²) + eps) · (offset + w): offset is 0 in the Llama family, 1 in Gemma."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float, offset: float) -> Tensor:
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        ctx.offset = offset
        return (x * inverse).mul_(weight if offset == 0 else weight + offset)

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        x, weight, inverse = ctx.saved_tensors
        d_weight = None
        if ctx.needs_input_grad[1]:
            d_weight = (incoming * x).mul_(inverse).flatten(0, -2).sum(dim=0)
        if not ctx.needs_input_grad[0]:
            return None, d_weight, None, None
        scaled = incoming * (weight if ctx.offset == 0 else weight + ctx.offset)
        # d/dx of x · r with r = (mean x² + eps)^-½: r · (g - x · r² · mean(g x))
        along = torch.linalg.vecdot(scaled, x).unsqueeze(-1).mul_(inverse.square()).div_(-x.shape[-1])
        return scaled.addcmul_(x, along).mul_(inverse), d_weight, None, None
