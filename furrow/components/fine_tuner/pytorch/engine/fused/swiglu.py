"""The gated MLP, down(silu(gate(x)) · up(x)), which is where most activations of a layer are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from furrow.components.fine_tuner.pytorch.engine.fused.linear import (
    Part,
    backward,
    flatten,
    full_product,
    into_ranks,
    unflatten,
)


class SwiGLU(torch.autograd.Function):
    """silu(gate) · up, keeping the two and nothing else."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        gate, up = ctx.saved_tensors
        return torch.ops.aten.silu_backward(incoming * up, gate), F.silu(gate).mul_(incoming)


def gated_mlp(x: Tensor, parts: Sequence[Part]) -> Tensor:
    """The whole MLP; `parts` are those of gate, up and down, none with a dropout at work."""
    found: Tensor = GatedMLP.apply(x, *flatten(parts))  # type: ignore[no-untyped-call]
    return found


class GatedMLP(torch.autograd.Function):
    """apply(x, *flatten(parts)), the W and b frozen. silu(gate) · up is not kept but computed again: two passes,
    against a third of the memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: tuple[float, ...], *tensors: Tensor | None) -> Tensor:
        *inputs, down = unflatten(tensors, scales)
        rows = x.reshape(-1, x.shape[-1])
        thin = into_ranks(rows, inputs)
        gate, up = (full_product(rows, part, u) for part, u in zip(inputs, thin, strict=True))
        inner = F.silu(gate).mul_(up)
        (thin_down,) = into_ranks(inner, [down])
        ctx.save_for_backward(rows, *thin, thin_down, gate, up, *tensors)
        ctx.scales, ctx.shape = scales, x.shape
        return full_product(inner, down, thin_down).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        rows, gate_u, up_u, down_u, gate, up, *tensors = ctx.saved_tensors
        *inputs, down = unflatten(tensors, ctx.scales)
        active = F.silu(gate)
        inner = active * up
        d_inner, d_down = backward(inner, [down_u], [down], [incoming.reshape(-1, incoming.shape[-1])], True)
        assert d_inner is not None
        d_gate = torch.mul(d_inner, up, out=inner)
        torch.ops.aten.silu_backward.grad_input(d_gate, gate, grad_input=d_gate)
        d_up = d_inner.mul_(active)
        d_x, d_inputs = backward(rows, [gate_u, up_u], inputs, [d_gate, d_up], ctx.needs_input_grad[0])
        flat = [one for part in [*d_inputs, *d_down] for one in part.flat()]
        return (None if d_x is None else d_x.view(ctx.shape)), None, *flat
