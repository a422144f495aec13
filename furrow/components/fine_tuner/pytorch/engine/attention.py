"""Attention over rows that lie one after the other in one line of tokens: none sees another, nothing is padding.

The spans of a micro-batch travel with the call, as the keyword `furrow_spans` that transformers hands down to every
attention layer: nothing global has to be set, and a layer that gradient checkpointing computes again finds them again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from furrow.components.fine_tuner.pytorch.engine.layout import Span
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating

NAME = "furrow_rows"
_FOREIGN = ("softcap", "s_aux", "sinks", "position_bias", "indices", "cache")
"""Arguments with which an architecture asks its attention for something that is not done here."""
_EQUAL = 1e-4
"""Largest difference, relative to the largest hidden state, that rounding may make in fp32 (measured: 1e-6)."""


def use(model: Any) -> None:
    """Makes the model's attention understand `furrow_spans`. Calls without them go on as with sdpa."""
    _register()
    model.set_attn_implementation(NAME)


def supports_flat(model: Any, longest: int) -> str | None:
    """Why rows of up to `longest` tokens cannot lie one after the other in this model; None where they can.

    After the reasons that can be read from its settings, the model itself is asked: rows one after the other, with and
    without a shared beginning, must come out as each of them does alone.
    """
    with evaluating(model):
        return _unsuitable(model, longest) or _differs(model, longest)


def leave_out_of_graphs() -> None:
    """For compiled layers: the attention is called between two graphs, so that other spans are no other graph."""
    _register()
    AttentionInterface.register(NAME, torch.compiler.disable(_attention))  # type: ignore[no-untyped-call]


@cache
def _register() -> None:
    AttentionInterface.register(NAME, _attention)
    AttentionMaskInterface.register(NAME, _mask)


def _mask(*arguments: Any, batch_size: int, q_length: int, kv_length: int, **more: Any) -> Any:
    """sdpa's mask, but none for one line of tokens that begins at 0: its spans say everything.

    For 16,384 tokens a mask would take 268 MB.
    """
    if batch_size == 1 and q_length == kv_length and more.get("attention_mask") is None:
        return None
    return sdpa_mask(*arguments, batch_size=batch_size, q_length=q_length, kv_length=kv_length, **more)


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    furrow_spans: Sequence[Span] = (),
    **more: Any,
) -> tuple[Tensor, None]:
    """As transformers calls it: query [1, heads, tokens, d], key and value with as many heads or fewer."""
    if not furrow_spans:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    for name in _FOREIGN:
        if more.get(name) is not None:
            raise ValueError(f"rows one after the other cannot have `{name}` in their attention")
    window = more.get("sliding_window")
    _Windows.note(module, window)
    return (
        attend(
            query,
            key,
            value,
            furrow_spans,
            scale=more.get("scaling"),
            dropout=more.get("dropout") or 0.0,
            window=window,
        ),
        None,
    )


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    spans: Sequence[Span],
    *,
    scale: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
) -> Tensor:
    """Causal attention within every span and to its prefix: [1, tokens, heads, d], contiguous.

    A token sees itself and the `window - 1` tokens before it (None: all before it). The spans follow one another and
    cover all tokens.
    """
    kind = query.device.type
    if torch.is_autocast_enabled(kind):  # as it does for torch's own; rotary positions leave q and k in float32, v not
        query, key, value = (tensor.to(torch.get_autocast_dtype(kind)) for tensor in (query, key, value))
    if query.is_cuda and dropout == 0.0 and query.dtype in (torch.float16, torch.bfloat16):
        found = _varlen(query, key, value, spans, scale, window)
        if found is not None:
            return found
    lengths = [span.end - span.start for span in spans]
    if dropout == 0.0 and _plain(query, spans, window):
        return _Rows.apply(query, key, value, lengths, scale)  # type: ignore[no-any-return, no-untyped-call]
    # split, and not slices: the gradient of a slice is as large as what it was cut from, for every row.
    queries, keys, values = (tensor.split(lengths, dim=2) for tensor in (query, key, value))
    place = {span.start: number for number, span in enumerate(spans)}
    rows = []
    for number, span in enumerate(spans):
        q, k, v = queries[number], keys[number], values[number]
        if span.prefix_end > span.prefix_start:
            shared = place[span.prefix_start]
            k, v = torch.cat([keys[shared], k], dim=2), torch.cat([values[shared], v], dim=2)
        mask = _band(q, k, window)
        row = F.scaled_dot_product_attention(
            q,
            k,
            v,
            attn_mask=mask,
            is_causal=mask is None,
            dropout_p=dropout,
            scale=scale,
            enable_gqa=q.shape[1] != k.shape[1],
        )
        rows.append(row.transpose(1, 2))
    return rows[0].contiguous() if len(rows) == 1 else torch.cat(rows, dim=1)


def _plain(query: Tensor, spans: Sequence[Span], window: int | None) -> bool:
    """Rows on a CPU that see all of themselves and nothing else."""
    if query.device.type != "cpu" or not hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu"):
        return False
    longest = max(span.end - span.start for span in spans)
    return (window is None or window >= longest) and all(span.prefix_end == span.prefix_start for span in spans)


class _Rows(torch.autograd.Function):
    """torch's flash attention row by row, with results and gradients written where they belong.

    Through autograd, cutting and joining the rows costs as much as the attention itself (12 rows of 75 tokens, 9 heads:
    11.2 ms forward and backward, 7 ms this way).
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, lengths: list[int], scale: float | None) -> Tensor:
        groups = query.shape[1] // key.shape[1]
        wide_key, wide_value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
        found = query.new_empty(query.shape[0], query.shape[2], query.shape[1], value.shape[-1])
        sums = []
        for rows in _slices(lengths):
            row, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query[:, :, rows], wide_key[:, :, rows], wide_value[:, :, rows], 0.0, True, scale=scale
            )
            found[:, rows] = row.transpose(1, 2)
            sums.append(log_sum)
        ctx.save_for_backward(query, key, value, found, *sums)
        ctx.lengths, ctx.scale = lengths, scale
        return found

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        query, key, value, found, *sums = ctx.saved_tensors
        shared = key.shape[1]
        groups = query.shape[1] // shared
        wide_key, wide_value = (tensor.repeat_interleave(groups, dim=1) for tensor in (key, value))
        gradients = [
            tensor.new_empty(1, tensor.shape[2], tensor.shape[1], tensor.shape[3]) for tensor in (query, key, value)
        ]
        for rows, log_sum in zip(_slices(ctx.lengths), sums, strict=True):
            of_query, of_key, of_value = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
                incoming[:, rows].transpose(1, 2),
                query[:, :, rows],
                wide_key[:, :, rows],
                wide_value[:, :, rows],
                found[:, rows].transpose(1, 2),
                log_sum,
                0.0,
                True,
                scale=ctx.scale,
            )
            gradients[0][:, rows] = of_query.transpose(1, 2)
            for gradient, wide in ((gradients[1], of_key), (gradients[2], of_value)):
                gradient[:, rows] = wide.unflatten(1, (shared, groups)).sum(dim=2).transpose(1, 2)
        return *(gradient.transpose(1, 2) for gradient in gradients), None, None


def _slices(lengths: Sequence[int]) -> list[slice]:
    ends = list(itertools.accumulate(lengths))
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def _band(query: Tensor, key: Tensor, window: int | None) -> Tensor | None:
    """Who sees whom, where that is not simply everything before."""
    length, seen = query.shape[2], key.shape[2]
    if length == seen and (window is None or window >= length):
        return None
    here = torch.arange(seen - length, seen, device=query.device)[:, None]
    there = torch.arange(seen, device=query.device)[None, :]
    band = there <= here
    return band if window is None or window >= seen else band & (there > here - window)


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, spans: Sequence[Span], scale: float | None, window: int | None
) -> Tensor | None:
    """One call of torch's variable-length flash attention; None where this torch or this device has none."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    if torch.cuda.get_device_capability(query.device) < (8, 0) or query.shape[-1] > 256:
        return None
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    rows = _VarlenRows.of(spans, query.device)
    if rows.seen is not None:
        k, v = k[rows.seen], v[rows.seen]
    found = varlen_attn(
        q,
        k,
        v,
        rows.q_bounds,
        rows.k_bounds,
        rows.q_longest,
        rows.k_longest,
        scale=scale,
        window_size=(-1 if window is None else window - 1, 0),
        enable_gqa=q.shape[1] != k.shape[1],
    )
    assert isinstance(found, Tensor)
    return found[None]


@dataclass(frozen=True)
class _VarlenRows:
    """Spans as `varlen_attn` wants them. Made once for a micro-batch: every list that goes to a device makes the host
    wait for it, and all layers are handed the same spans, in the backward pass again."""

    spans: Sequence[Span]
    q_bounds: Tensor
    k_bounds: Tensor
    q_longest: int
    k_longest: int
    seen: Tensor | None
    """Which keys the rows see, one row's after the other; None: each its own."""
    latest: ClassVar[_VarlenRows | None] = None

    @classmethod
    def of(cls, spans: Sequence[Span], device: torch.device) -> _VarlenRows:
        known = cls.latest
        if known is None or known.spans is not spans or known.q_bounds.device != device:
            known = cls.latest = cls._made(spans, device)
        return known

    @classmethod
    def _made(cls, spans: Sequence[Span], device: torch.device) -> _VarlenRows:
        lengths = [span.end - span.start for span in spans]
        bounds = _bounds(lengths, device)
        if all(span.prefix_end == span.prefix_start for span in spans):
            return cls(spans, bounds, bounds, max(lengths), max(lengths), None)
        # Keys of a shared beginning are laid before each row that has it; queries stay as they are. Flash attention
        # aligns the causal triangle at the end of both, which is what a row after its prefix wants.
        seen = [
            place
            for span in spans
            for place in itertools.chain(range(span.prefix_start, span.prefix_end), range(span.start, span.end))
        ]
        wide = [span.end - span.start + span.prefix_end - span.prefix_start for span in spans]
        where = torch.tensor(seen, device=device)
        return cls(spans, bounds, _bounds(wide, device), max(lengths), max(wide), where)


def _bounds(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32, device=device)


def _unsuitable(model: Any, longest: int) -> str | None:
    """What can be read from the model's settings."""
    config = model.config.get_text_config()
    if not model._can_set_attn_implementation():
        return f"{config.model_type} computes its attention in its own way"
    if config.is_encoder_decoder or getattr(config, "is_causal", True) is False:
        return f"{config.model_type} does not read from left to right only"
    if getattr(config, "attn_logit_softcapping", None):
        return f"{config.model_type} caps the logits of its attention"
    rope = getattr(config, "rope_parameters", None) or {}
    for kind in [rope, *(value for value in rope.values() if isinstance(value, dict))]:
        stretched = kind.get("rope_type") in ("dynamic", "longrope")
        known: Any = kind.get("original_max_position_embeddings") or getattr(config, "max_position_embeddings", 0)
        if stretched and longest > known:
            return f"the positions of {config.model_type} depend on the longest row beyond {known} tokens"
    chunk = getattr(config, "attention_chunk_size", None)
    if chunk and longest > chunk:
        return f"{config.model_type} attends in chunks of {chunk} tokens"
    return None


class _Windows:
    """Which sliding windows the layers hand to their attention: written only while a model is being asked."""

    found: set[int] | None = None

    @classmethod
    def note(cls, module: Any, window: int | None) -> None:
        if cls.found is not None and window is not None:
            cls.found.add(window)


@torch.no_grad()
def _differs(model: Any, longest: int) -> str | None:
    """Two rows of 7 and 5 tokens with 3 in common: alone, one after the other, and sharing their beginning."""
    config = model.config.get_text_config()
    decoder = getattr(model, model.base_model_prefix, model)
    device = model.get_input_embeddings().weight.device
    words = torch.arange(2, 11, device=device).remainder(config.vocab_size)
    one, two = words[:7], torch.cat([words[:3], words[7:9]])
    flat = torch.cat([one, two]), [*range(7), *range(5)], (Span(0, 7), Span(7, 12))
    shared = (
        torch.cat([one, two[3:]]),
        [*range(7), 3, 4],
        (Span(0, 3), Span(3, 7, 0, 3), Span(7, 9, 0, 3)),
    )
    before = model.config._attn_implementation
    _Windows.found = set()
    try:
        alone = [decoder(input_ids=row[None], use_cache=False).last_hidden_state[0].float() for row in (one, two)]
        use(model)
        for ids, positions, spans in (flat, shared):
            found = decoder(
                input_ids=ids[None],
                position_ids=torch.tensor([positions], device=device),
                use_cache=False,
                furrow_spans=spans,
            ).last_hidden_state[0]
            expected = torch.cat([alone[0], alone[1][-(len(ids) - 7) :]])
            worst = float((found.float() - expected).abs().max() / expected.abs().max())
            limit = _EQUAL if found.dtype == torch.float32 else 5e-2
            if not worst <= limit:
                return f"rows of {config.model_type} come out differently beside one another (by {worst:.1g})"
        window = _window(config, longest)
        if window is not None and window not in _Windows.found:
            return f"{config.model_type} sees {window} tokens back, and does not tell its attention"
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        return f"{config.model_type} does not take rows one after the other: {str(error).strip().splitlines()[0]}"
    finally:
        _Windows.found = None
        model.set_attn_implementation(before)
    return None


def _window(config: Any, longest: int) -> int | None:
    """The sliding window that rows of this length would notice."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    used = kinds is None or "sliding_attention" in kinds
    return window if used and window is not None and window < longest else None
