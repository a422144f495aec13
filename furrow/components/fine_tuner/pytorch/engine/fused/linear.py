"""Linear layers with LoRA adapters that read one input: thin products done once, sums done in place.

y_i = x W_iᵀ + b_i + s_i (x A_iᵀ) B_iᵀ. PEFT makes four tensors as large as y for each; here there is one. The A of all
layers are one product (at r = 8 a thin one runs at 66 GFLOP/s, one of 24 rows at 137; a wide one at 200), and what is
kept for the backward pass is x and x Aᵀ. Concatenating the W as well, or [x, x Aᵀ] · [W, B]ᵀ in one product, was no
quicker (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn

from furrow.components.fine_tuner.pytorch.engine.products import added_product, product


class Part(NamedTuple):
    """The tensors of one linear layer; `a` [r, in] and `b` [out, r] are None where it has no adapter."""

    weight: Tensor
    bias: Tensor | None
    a: Tensor | None = None
    b: Tensor | None = None
    own: Tensor | None = None
    """What the adapter reads, where that is not x itself: x after its own dropout."""
    scale: float = 0.0


def tensors_of(part: Part) -> tuple[Tensor | None, ...]:
    return part.weight, part.bias, part.a, part.b, part.own


def part_of(module: Any, x: Tensor | None = None) -> Part | None:
    """What the layer computes now, or None where that is more than y above (DoRA, a trained or quantised W).

    Where its adapter has a dropout that is at work, `x` is put through it; without an `x` there is no answer.
    """
    base = module
    adapter: Part | None = None
    if type(module) is LoraLinear:
        base = module.base_layer
        if not module.disable_adapters:
            active = module.active_adapters
            if module.merged or len(active) != 1 or active[0] in module.lora_variant or module.fan_in_fan_out:
                return None
            name = active[0]
            if name in module.lora_A:
                a, b, dropout = module.lora_A[name], module.lora_B[name], module.lora_dropout[name]
                if module.lora_bias[name] or type(a) is not nn.Linear or type(b) is not nn.Linear:
                    return None
                idle = not module.training or isinstance(dropout, nn.Identity) or getattr(dropout, "p", None) == 0
                if not idle and x is None:
                    return None
                own = None if idle else dropout(x)
                adapter = Part(base.weight, base.bias, a.weight, b.weight, own, float(module.scaling[name]))
    if type(base) is not nn.Linear or base.weight.requires_grad or (base.bias is not None and base.bias.requires_grad):
        return None
    return adapter or Part(base.weight, base.bias)


def parts_of(modules: Sequence[Any], x: Tensor, dropout: bool = True) -> list[Part] | None:
    """The parts of all, where each is a Part and everything is float32 (16-bit sums round in an order of their own).

    `dropout=False`: None where a dropout is at work.
    """
    if x.dtype != torch.float32 or torch.is_autocast_enabled(x.device.type):
        return None
    parts = []
    for module in modules:
        part = part_of(module, x if dropout else None)
        if part is None or any(tensor is not None and tensor.dtype != torch.float32 for tensor in tensors_of(part)):
            return None
        parts.append(part)
    return parts


def flatten(parts: Sequence[Part]) -> tuple[Any, ...]:
    """The parts as the arguments of an autograd function: all scales, then the tensors of each."""
    return tuple(part.scale for part in parts), *(tensor for part in parts for tensor in tensors_of(part))


def unflatten(tensors: Sequence[Tensor | None], scales: Sequence[float]) -> list[Part]:
    """The parts, from the tensors and the scales that `flatten` gave."""
    count = len(tensors) // len(scales)
    return [Part._make((*tensors[count * i : count * (i + 1)], scale)) for i, scale in enumerate(scales)]


class PartGradients(NamedTuple):
    a: Tensor | None = None
    b: Tensor | None = None
    own: Tensor | None = None

    def flat(self) -> tuple[Tensor | None, ...]:
        """In the order of `flatten`; the W and b are frozen."""
        return None, None, self.a, self.b, self.own


def linears(x: Tensor, parts: Sequence[Part]) -> tuple[Tensor, ...]:
    """The results of all parts for one input."""
    found: tuple[Tensor, ...] = Linears.apply(x, *flatten(parts))  # type: ignore[no-untyped-call]
    return found


class Linears(torch.autograd.Function):
    """apply(x, *flatten(parts)): a tuple of results. The W and b are frozen."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: tuple[float, ...], *tensors: Tensor | None) -> tuple[Tensor, ...]:
        parts = unflatten(tensors, scales)
        rows = x.reshape(-1, x.shape[-1])
        thin = into_ranks(rows, parts)
        ctx.save_for_backward(rows, *thin, *tensors)
        ctx.scales, ctx.shape = scales, x.shape
        ctx.set_materialize_grads(False)
        return tuple(full_product(rows, part, u).view(*x.shape[:-1], -1) for part, u in zip(parts, thin, strict=True))

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor | None) -> Any:  # type: ignore[override]
        count = len(ctx.scales)
        rows, *more = ctx.saved_tensors
        thin, parts = more[:count], unflatten(more[count:], ctx.scales)
        gradients = [None if one is None else one.reshape(-1, one.shape[-1]) for one in incoming]
        d_x, d_parts = backward(rows, thin, parts, gradients, ctx.needs_input_grad[0])
        return (None if d_x is None else d_x.view(ctx.shape)), None, *(one for part in d_parts for one in part.flat())


def into_ranks(rows: Tensor, parts: Sequence[Part]) -> list[Tensor | None]:
    """x Aᵀ of every part [tokens, r]: one product for all that read x itself."""
    together = [part.a for part in parts if part.a is not None and part.own is None]
    pieces = iter(_cut(product(rows, _stacked(together)), together) if together else ())
    return [
        None
        if part.a is None
        else next(pieces)
        if part.own is None
        else product(part.own.reshape(-1, part.own.shape[-1]), part.a)
        for part in parts
    ]


def full_product(rows: Tensor, part: Part, u: Tensor | None) -> Tensor:
    """x Wᵀ + b + s u Bᵀ: [tokens, out]."""
    found = product(rows, part.weight, part.bias)
    return found if u is None or part.b is None else found.addmm_(u, part.b.t(), alpha=part.scale)


def backward(
    rows: Tensor,
    thin: Sequence[Tensor | None],
    parts: Sequence[Part],
    gradients: Sequence[Tensor | None],
    wants_x: bool,
) -> tuple[Tensor | None, list[PartGradients]]:
    """d x (or None) and the gradients of every part, from those of the results (None: not used)."""
    d_x: Tensor | None = None
    found = [PartGradients() for _ in parts]
    together: list[tuple[int, Tensor]] = []  # parts whose adapters read x itself, and d loss / d (x Aᵀ)
    for number, (part, u, gradient) in enumerate(zip(parts, thin, gradients, strict=True)):
        if gradient is None:
            continue
        if wants_x:
            weight = part.weight.t()
            d_x = product(gradient, weight) if d_x is None else added_product(d_x, gradient, weight)
        if u is None or part.a is None or part.b is None:
            continue
        back = product(gradient, part.b.t()).mul_(part.scale)
        # (uᵀ g)ᵀ and not gᵀ u: the same sums at 70 GFLOP/s instead of 10
        found[number] = PartGradients(b=(u.t() @ gradient).mul_(part.scale).t() if part.b.requires_grad else None)
        if part.own is None:
            together.append((number, back))
        else:
            d_a = back.t() @ part.own.reshape(-1, part.own.shape[-1]) if part.a.requires_grad else None
            found[number] = found[number]._replace(a=d_a, own=(back @ part.a).view_as(part.own))
    if together:
        matrices = [matrix for number, _ in together if (matrix := parts[number].a) is not None]
        back = torch.cat([one for _, one in together], dim=1) if len(together) > 1 else together[0][1]
        if d_x is not None:
            d_x.addmm_(back, _stacked(matrices))
        if any(matrix.requires_grad for matrix in matrices):
            for (number, _), d_a in zip(together, (back.t() @ rows).split([len(one) for one in matrices]), strict=True):
                found[number] = found[number]._replace(a=d_a)
    return d_x, found


def _cut(thin: Tensor, matrices: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return thin.split([len(matrix) for matrix in matrices], dim=1)


def _stacked(matrices: Sequence[Tensor]) -> Tensor:
    return matrices[0] if len(matrices) == 1 else torch.cat(list(matrices))
