"""The attention layer of the Llama family around the attention itself: projections, rotary positions, output."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface

from furrow.components.fine_tuner.pytorch.engine.fused.rotary import Rotary

_SPY = "furrow_spy"


def fused_attention(module: Any, hidden_size: int) -> Callable[..., Any] | None:
    """A forward for this layer that computes the same with less traffic, or None where the layer does something else.

    The layer is asked: what it hands to its attention (rotated queries and keys, values, scale, window) and what it
    makes of the answer must be what the replacement says.
    """
    if not all(hasattr(module, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj", "head_dim", "config")):
        return None
    if module.head_dim % 2:
        return None
    original = module.forward
    generator = torch.Generator().manual_seed(1)
    device = module.q_proj.weight.device

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device)

    hidden, angles = drawn(1, 3, hidden_size), (drawn(1, 3, module.head_dim), drawn(1, 3, module.head_dim))
    try:
        theirs, given = _overheard(module, original, hidden, angles)
        forward = _forward(module, original, {name: given[name] for name in given if name != "dropout"})
        mine, found = _overheard(module, forward, hidden, angles)
    except (RuntimeError, TypeError, AttributeError, ValueError, KeyError):
        return None
    same = len(theirs) == len(mine) and all(close(one, other) for one, other in zip(mine, theirs, strict=True))
    return forward if same and given == found else None


def close(found: Tensor, expected: Tensor) -> bool:
    """Equal but for the rounding of float32. Numbers that are not finite tell nothing, and are not equal."""
    if found.shape != expected.shape or not torch.isfinite(expected).all():
        return False
    return torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def _forward(module: Any, original: Callable[..., Any], settings: dict[str, Any]) -> Callable[..., Any]:
    """`settings`: what the layer hands to its attention beside the tensors and the caller's own keywords."""

    def forward(
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor] | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        **more: Any,
    ) -> Any:
        if position_embeddings is None or past_key_values is not None or hidden_states.dtype != torch.float32:
            return original(
                hidden_states=hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=attention_mask,
                past_key_values=past_key_values,
                **more,
            )
        heads = (*hidden_states.shape[:-1], -1, module.head_dim)
        query, key, value = (
            projection(hidden_states).view(heads) for projection in (module.q_proj, module.k_proj, module.v_proj)
        )
        cos, sin = (angle.unsqueeze(2) for angle in position_embeddings)
        query, key = Rotary.apply(query, cos, sin), Rotary.apply(key, cos, sin)  # type: ignore[no-untyped-call]
        attend = AttentionInterface().get_interface(module.config._attn_implementation, None)
        found, weights = attend(
            module,
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attention_mask,
            dropout=module.attention_dropout if module.training else 0.0,
            **{**more, **settings},
        )
        return module.o_proj(found.reshape(*hidden_states.shape[:-1], -1)), weights

    return forward


@torch.no_grad()
def _overheard(
    module: Any, forward: Callable[..., Any], hidden: Tensor, angles: tuple[Tensor, Tensor]
) -> tuple[list[Tensor], dict[str, Any]]:
    """Everything the layer computes, and the keywords that it hands to its attention of its own accord."""
    _register()
    before = module.config._attn_implementation
    seen: dict[str, Any] = {}
    module.config._attn_implementation = _SPY
    try:
        output = forward(hidden_states=hidden, position_embeddings=angles, attention_mask=None, furrow_seen=seen)[0]
    finally:
        module.config._attn_implementation = before
    return [*seen.pop("tensors"), output], seen


@cache
def _register() -> None:
    AttentionInterface.register(_SPY, _spy)


def _spy(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, furrow_seen: dict[str, Any], **settings: Any
) -> tuple[Tensor, None]:
    furrow_seen.update(settings, tensors=(query, key, value))
    return query.transpose(1, 2).contiguous(), None
