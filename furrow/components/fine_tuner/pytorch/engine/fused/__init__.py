"""Modules of a model computed with less traffic and fewer thin products; the results are those of the originals.

Every replacement is of one object's `forward`: classes, parameters, state dictionaries and what is saved stay as they
are. A module is recognised by what it computes: it is called with a few numbers, and replaced only where the
replacement answers the same. Where a call is not the plain case (adapters merged, 16-bit types, autocast) the original
runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import Tensor, nn

from furrow.components.fine_tuner.pytorch.engine.fused.attention import close, fused_attention
from furrow.components.fine_tuner.pytorch.engine.fused.linear import linears, part_of, parts_of, tensors_of
from furrow.components.fine_tuner.pytorch.engine.fused.norm import RMSNorm
from furrow.components.fine_tuner.pytorch.engine.fused.swiglu import SwiGLU, gated_mlp

_TOGETHER = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
"""Names of layers that read the same input, in the architectures that have three or two of them."""


@dataclass
class Fused:
    """What was replaced, by kind; `restore()` undoes it, `replace_again()` does it again."""

    counts: Counter[str] = field(default_factory=Counter)
    _replaced: list[tuple[nn.Module, Callable[..., Any], str]] = field(default_factory=list)

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind}" for kind, count in self.counts.items()) or "nothing"

    def replace(self, module: nn.Module, forward: Callable[..., Any], kind: str) -> None:
        module.forward = forward  # on the object: shadows the method of its class
        self._replaced.append((module, forward, kind))
        self.counts[kind] += 1

    def restore(self) -> None:
        """Puts the forward of every class back."""
        for module, _, _ in self._replaced:
            module.__dict__.pop("forward", None)
        self.counts.clear()

    def replace_again(self) -> None:
        """After `restore()`."""
        replaced, self._replaced = self._replaced, []
        for module, forward, kind in replaced:
            self.replace(module, forward, kind)


def fuse(model: Any, *, autocast: bool = False) -> Fused:
    """Replaces what is recognised in the model; call it when the adapters are on it, on its device.

    `autocast`: the model will run under it, where linear layers and MLPs stay as they are.
    """
    fused = Fused()
    for module in list(model.modules()):
        if "forward" in module.__dict__:
            continue
        if type(module).__name__.endswith("RMSNorm"):
            _fuse_norm(module, fused)
        elif all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
            if not autocast:
                _fuse_mlp(module, fused)
        elif hasattr(module, "o_proj") and isinstance(getattr(module, "q_proj", None), LoraLinear | nn.Linear):
            attention = fused_attention(module, module.q_proj.in_features) if _floats(module.q_proj) else None
            if attention is not None:
                fused.replace(module, attention, "attention layers")
        for names in () if autocast else _TOGETHER:
            members = [getattr(module, name, None) for name in names]
            if all(isinstance(member, LoraLinear | nn.Linear) for member in members):
                _fuse_group(members, fused)
    for module in list(model.modules()):
        if not autocast and type(module) is LoraLinear and "forward" not in module.__dict__ and _plain(module):
            fused.replace(module, _Single(module), "adapters")
    return fused


def _fuse_norm(module: Any, fused: Fused) -> None:
    parameters = dict(module.named_parameters())
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if set(parameters) != {"weight"} or parameters["weight"].ndim != 1 or not isinstance(eps, float):
        return
    if parameters["weight"].dtype != torch.float32:
        return
    original = module.forward

    def with_offset(offset: float) -> Callable[[Tensor], Tensor]:
        def forward(x: Tensor) -> Tensor:
            if x.dtype != torch.float32:
                return original(x)  # type: ignore[no-any-return]
            return RMSNorm.apply(x, module.weight, eps, offset)  # type: ignore[no-any-return, no-untyped-call]

        return forward

    x = _numbers(module.weight, 3)
    for offset in (0.0, 1.0):
        if _same(original, with_offset(offset), x):
            fused.replace(module, with_offset(offset), "norms")
            return


def _fuse_mlp(module: Any, fused: Fused) -> None:
    three = (module.gate_proj, module.up_proj, module.down_proj)
    original = module.forward

    def forward(x: Tensor) -> Tensor:
        parts = parts_of(three, x, dropout=False)
        if parts is not None:
            return gated_mlp(x, parts)
        if torch.is_autocast_enabled(x.device.type):
            return original(x)  # type: ignore[no-any-return]
        return module.down_proj(SwiGLU.apply(module.gate_proj(x), module.up_proj(x)))  # type: ignore[no-any-return, no-untyped-call]

    if _floats(module.gate_proj) and _same(original, forward, _numbers(module.gate_proj.weight[0], 3)):
        fused.replace(module, forward, "gated MLPs")


def _fuse_group(members: list[Any], fused: Fused) -> None:
    """Members that have a forward already belong to a group, or to an MLP that is computed as a whole."""
    if any("forward" in member.__dict__ or not _plain(member) for member in members):
        return
    if not any(type(member) is LoraLinear for member in members):
        return
    group = _Group(members)
    for number, member in enumerate(members):
        fused.replace(member, group.forward_of(number), "adapters")


class _Group:
    """Layers that are called one after the other with one input: the first call computes all, the others fetch.

    Results are handed out for the very tensor that they were computed from. Where somebody does not fetch (layers of
    cross-attention, that read two inputs), each is computed for itself from then on.
    """

    def __init__(self, members: list[Any]) -> None:
        self._members = members
        self._originals = [member.forward for member in members]
        self._input: Tensor | None = None
        self._ready: dict[int, Tensor] = {}
        self._together = True

    def forward_of(self, number: int) -> Callable[..., Tensor]:
        def forward(x: Tensor, *more: Any, **named: Any) -> Tensor:
            if self._input is x and number in self._ready:
                return self._fetch(number)
            return self._compute(number, x, *more, **named)

        return forward

    def _fetch(self, number: int) -> Tensor:
        found = self._ready.pop(number)
        if not self._ready:
            self._input = None
        return found

    def _compute(self, number: int, x: Tensor, *more: Any, **named: Any) -> Tensor:
        if self._ready:
            self._together = False
        self._input, self._ready = None, {}
        asked = self._members if self._together else [self._members[number]]
        parts = None if more or named else parts_of(asked, x)
        if parts is None:
            return self._originals[number](x, *more, **named)  # type: ignore[no-any-return]
        results = linears(x, parts)
        if not self._together:
            return results[0]
        self._input, self._ready = x, dict(enumerate(results))
        return self._fetch(number)


class _Single:
    """The forward of one layer with an adapter."""

    def __init__(self, module: Any) -> None:
        self._module, self._original = module, module.forward

    def __call__(self, x: Tensor, *more: Any, **named: Any) -> Tensor:
        parts = None if more or named else parts_of([self._module], x)
        if parts is None:
            return self._original(x, *more, **named)  # type: ignore[no-any-return]
        return linears(x, parts)[0]


def _plain(module: Any) -> bool:
    """Whether the layer is a Part in float32 when its dropout rests."""
    training = module.training
    module.training = False
    try:
        part = part_of(module)
        return part is not None and all(one is None or one.dtype == torch.float32 for one in tensors_of(part))
    finally:
        module.training = training


def _floats(module: Any) -> bool:
    return getattr(getattr(module, "weight", None), "dtype", None) == torch.float32


def _numbers(like: Tensor, rows: int) -> Tensor:
    """[rows, len(like)], the same every time, drawn without touching the global generator."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, like.numel(), generator=generator).to(like.device)


@torch.no_grad()
def _same(original: Callable[..., Any], replacement: Callable[..., Any], x: Tensor) -> bool:
    try:
        expected, found = original(x), replacement(x)
    except (RuntimeError, TypeError, AttributeError, ValueError):
        return False
    return isinstance(expected, Tensor) and close(found, expected)
