"""The language-model head and its loss, chunk by chunk: the logits of a whole micro-batch never exist.

With h the hidden state of a position, W the output embedding and z = W h: loss = log Σ exp z − z[target], and the
gradient with respect to z is softmax(z) − onehot(target). Both are known as soon as the chunk's logits are, so the
gradient with respect to h (and W, where it is trained) is computed at once, in the memory of the logits; the backward
pass only scales it. At 49,152 words a micro-batch of 512 positions has 100 MB of logits, and the plain loss keeps four
copies of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_outputs import BaseModelOutputWithPast

from furrow.components.errors import RequestError
from furrow.components.fine_tuner.pytorch.engine.modes import evaluating
from furrow.components.fine_tuner.pytorch.engine.products import product

CHUNK_LOGITS = 2**25
"""Logits in memory at once: 134 MB in fp32, 682 rows of 49,152 words. More rows a product are quicker (measured on two
cores: 932 µs a row in chunks of 64, 683 of 256, 631 of 512)."""

_HALF_SCALE = 2.0**10
"""In fp16 the gradient of a logit below 6e-8 would be lost; it is carried multiplied by this."""


@dataclass(frozen=True)
class Head:
    """What turns hidden states into logits: cap · tanh(scale · (W h + b) / cap), without the tanh where cap is None."""

    module: Any
    """The model's own output embedding, as it stands in the model: possibly quantised or with an adapter on it."""
    softcap: float | None = None
    scale: float = 1.0

    @classmethod
    def of(cls, model: Any) -> Head:
        """The head of a causal language model, wrapped by PEFT or not. Raises RequestError where it has none.

        Architectures do things to their logits (scale them, cap them) that stand nowhere but in their code. So the
        model is asked for the logits of four tokens: what is not explained by its settings goes through its own code.
        """
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        embedding = inner.get_output_embeddings()
        if embedding is None:
            raise RequestError(
                f"{inner.config.model_type} has no output embedding: it predicts no next token",
                where="base_model",
                remedy="choose a causal language model, or objective.type classification",
            )
        config = inner.config.get_text_config()
        head = cls(embedding, getattr(config, "final_logit_softcapping", None), _scale_of(config))
        return head if _explains(head, inner) else cls(OwnLogits(inner))

    def linear(self) -> nn.Linear | None:
        """The plain matrix in use now, or None where only the module itself knows its product."""
        module = self.module
        if hasattr(module, "modules_to_save"):  # PEFT's wrapper around a head that is trained as a whole
            module = (
                module.original_module if module.disable_adapters else module.modules_to_save[module.active_adapters[0]]
            )
        return module if type(module) is nn.Linear else None

    def logits(self, hidden: Tensor) -> Tensor:
        """[N, V] in fp32, through the module itself."""
        logits = self.module(hidden).float()
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits


class OwnLogits:
    """The model's own way from hidden states to logits: its code runs, with a decoder that hands them over."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.out_features = model.config.get_text_config().vocab_size

    def __call__(self, hidden: Tensor) -> Tensor:
        decoder = getattr(self._model, self._model.base_model_prefix)
        output = BaseModelOutputWithPast(last_hidden_state=hidden[None])  # type: ignore[arg-type]
        decoder.forward = lambda *_, **__: output  # on the object: shadows the method of its class
        try:
            ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
            logits: Tensor = self._model(input_ids=ids, use_cache=False).logits[0]
        finally:
            del decoder.forward
        return logits


@torch.no_grad()
def _explains(head: Head, model: Any) -> bool:
    """Whether the model's logits are what the head makes of its last hidden states."""
    decoder = getattr(model, model.base_model_prefix)
    ids = torch.arange(4, device=model.get_input_embeddings().weight.device)[None]
    with evaluating(model):
        logits = model(input_ids=ids, use_cache=False).logits[0].float()
        expected = head.logits(decoder(input_ids=ids, use_cache=False).last_hidden_state[0])
    largest = float(logits.abs().max())
    if not math.isfinite(largest):
        return True  # the weights are broken, which the first step says
    # bf16 keeps 8 bits of a logit; a scale or a cap that is not known changes far more than that.
    return torch.allclose(logits, expected, rtol=0, atol=2e-2 * largest)


def summed_nll(hidden: Tensor, head: Head, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Σ −w log p(target) over all rows in nats: a scalar in fp32. `hidden` is [N, d], `targets` [N], `weights` [N] in
    fp32; without them every w is 1."""
    linear = head.linear()
    if linear is None:
        return sum(
            (
                _chunk_nll(head, hidden[rows], targets[rows], "sum")
                if weights is None
                else (_chunk_nll(head, hidden[rows], targets[rows], "none") * weights[rows]).sum()
                for rows in _chunks(len(hidden), _vocabulary(head.module))
            ),
            start=hidden.new_zeros((), dtype=torch.float32),
        )
    work = _product_dtype(hidden, linear.weight)
    with torch.autocast(hidden.device.type, enabled=False):
        return _SummedNLL.apply(  # type: ignore[no-any-return, no-untyped-call]
            hidden, linear.weight, linear.bias, targets, head, work, torch.is_grad_enabled(), weights
        )


def token_logps(hidden: Tensor, head: Head, targets: Tensor) -> Tensor:
    """log p(target) of every row: [N] in fp32, for any gradient that comes back per row."""
    linear = head.linear()
    if len(hidden) == 0:
        return hidden.new_zeros(0, dtype=torch.float32) + hidden.sum() * 0
    if linear is None:
        return -torch.cat(
            [
                _chunk_nll(head, hidden[rows], targets[rows], "none")
                for rows in _chunks(len(hidden), _vocabulary(head.module))
            ]
        )
    work = _product_dtype(hidden, linear.weight)
    with torch.autocast(hidden.device.type, enabled=False):
        return _TokenLogps.apply(  # type: ignore[no-any-return, no-untyped-call]
            hidden, linear.weight, linear.bias, targets, head, work, torch.is_grad_enabled()
        )


def _chunk_nll(head: Head, hidden: Tensor, targets: Tensor, reduction: str) -> Tensor:
    """Through the module itself; its logits are forgotten, and computed once more in the backward pass."""

    def nll(rows: Tensor) -> Tensor:
        return F.cross_entropy(head.logits(rows), targets, reduction=reduction)

    if torch.is_grad_enabled():
        return checkpoint(nll, hidden, use_reentrant=False)  # type: ignore[no-any-return]
    return nll(hidden)


class _SummedNLL(torch.autograd.Function):
    """The gradients are computed with the loss, for an incoming gradient of 1."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        head: Head,
        work: torch.dtype,
        grad: bool,
        weights: Tensor | None,
    ) -> Tensor:
        d_hidden, d_weight, d_bias = _room(ctx.needs_input_grad, hidden, weight, bias) if grad else (None, None, None)
        cast_weight, total = weight.to(work), torch.zeros((), dtype=torch.float32, device=hidden.device)
        for rows in _chunks(len(hidden), len(weight)):
            part = hidden[rows].to(work)
            logps, d_logits = _logps(part, cast_weight, bias, targets[rows], head, gradient=grad)
            total -= logps.sum() if weights is None else (logps * weights[rows]).sum()
            if d_logits is not None:
                if weights is not None:
                    d_logits.mul_(weights[rows, None])
                _accumulate(d_logits.neg_(), part, cast_weight, rows, d_hidden, d_weight, d_bias)
        ctx.gradients = (d_hidden, d_weight, d_bias)
        ctx.dtypes = (weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        if ctx.gradients is None:
            raise RuntimeError("the gradient of a summed loss can be asked for once")
        d_hidden, d_weight, d_bias = ctx.gradients
        ctx.gradients = None
        return (
            None if d_hidden is None else d_hidden.mul_(incoming),
            None if d_weight is None else d_weight.mul_(incoming).to(ctx.dtypes[0]),
            None if d_bias is None else d_bias.mul_(incoming).to(ctx.dtypes[1]),
            *[None] * 5,
        )


class _TokenLogps(torch.autograd.Function):
    """Keeps d logp / d hidden of every row where W is frozen; where it is trained, computes the logits once more."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        head: Head,
        work: torch.dtype,
        grad: bool,
    ) -> Tensor:
        wanted = ctx.needs_input_grad
        ctx.trains_head = grad and any(wanted[1:3])
        slopes = torch.empty_like(hidden) if grad and wanted[0] and not ctx.trains_head else None
        found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        cast_weight = weight.to(work)
        for rows in _chunks(len(hidden), len(weight)):
            part = hidden[rows].to(work)
            found[rows], d_logits = _logps(part, cast_weight, bias, targets[rows], head, gradient=slopes is not None)
            if d_logits is not None:
                _accumulate(d_logits, part, cast_weight, rows, slopes, None, None)
        ctx.head, ctx.work = head, work
        if ctx.trains_head:
            ctx.save_for_backward(hidden, weight, bias, targets)
        elif slopes is not None:
            ctx.save_for_backward(slopes)
        return found

    @staticmethod
    def backward(ctx: Any, incoming: Tensor) -> Any:  # type: ignore[override]
        if not ctx.trains_head:
            (slopes,) = ctx.saved_tensors
            return (slopes * incoming[:, None]).to(slopes.dtype), *[None] * 6
        hidden, weight, bias, targets = ctx.saved_tensors
        d_hidden, d_weight, d_bias = _room(ctx.needs_input_grad, hidden, weight, bias)
        cast_weight = weight.to(ctx.work)
        for rows in _chunks(len(hidden), len(weight)):
            part = hidden[rows].to(ctx.work)
            _, d_logits = _logps(part, cast_weight, bias, targets[rows], ctx.head, gradient=True)
            assert d_logits is not None
            d_logits.mul_(incoming[rows, None])
            _accumulate(d_logits, part, cast_weight, rows, d_hidden, d_weight, d_bias)
        return (
            d_hidden,
            None if d_weight is None else d_weight.to(weight.dtype),
            None if d_bias is None else d_bias.to(bias.dtype),
            *[None] * 4,
        )


def _logps(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, head: Head, gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """log p of the targets [n], and where asked d log p / d (W h + b) [n, V]; all in fp32."""
    logits = product(hidden, weight).float()
    if bias is not None:
        logits += bias
    if head.scale != 1.0:
        logits *= head.scale
    slope = None
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_()
        if gradient:
            slope = 1 - logits.square()
        logits *= head.softcap
    # softmax in place: the largest logit and its probability (never below 1 / V) give the normaliser back, in two short
    # passes (4 µs a row of 49,152 each; logsumexp takes 130)
    chosen = logits.gather(1, targets[:, None])
    largest = logits.amax(dim=1, keepdim=True)
    torch.softmax(logits, dim=1, out=logits)
    logps = (chosen - largest + logits.amax(dim=1, keepdim=True).log_()).squeeze(1)
    if not gradient:
        return logps, None
    logits.neg_().scatter_add_(1, targets[:, None], torch.ones_like(chosen))
    if slope is not None:
        logits *= slope
    if head.scale != 1.0:
        logits *= head.scale
    return logps, logits


def _room(
    wanted: Sequence[bool], hidden: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Where the gradients go that are wanted of (hidden, weight, bias, …); those of weights are summed in fp32."""
    return (
        torch.empty_like(hidden) if wanted[0] else None,
        torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None,
        torch.zeros_like(bias, dtype=torch.float32) if bias is not None and wanted[2] else None,
    )


def _accumulate(
    d_logits: Tensor,
    hidden: Tensor,
    weight: Tensor,
    rows: slice,
    d_hidden: Tensor | None,
    d_weight: Tensor | None,
    d_bias: Tensor | None,
) -> None:
    """d_hidden[rows] = d_logits W; d_weight += d_logitsᵀ hidden; d_bias += Σ d_logits."""
    if d_bias is not None:
        d_bias += d_logits.sum(dim=0)
    carried = _HALF_SCALE if weight.dtype == torch.float16 else 1.0
    cast = d_logits.mul_(carried).to(weight.dtype) if carried != 1.0 else d_logits.to(weight.dtype)
    if d_hidden is not None:
        d_hidden[rows] = product(cast, weight.t()).float().div_(carried).to(d_hidden.dtype)
    if d_weight is not None:
        if weight.dtype == torch.float32:
            d_weight.addmm_(cast.t(), hidden)
        else:
            d_weight += torch.mm(cast.t(), hidden).float().div_(carried)


def _chunks(rows: int, vocabulary: int) -> Iterator[slice]:
    """Cuts `rows` into pieces of like size, none with more than CHUNK_LOGITS logits (or one row)."""
    most = max(1, CHUNK_LOGITS // vocabulary)
    count = -(-rows // most)
    for piece in range(count):
        yield slice(rows * piece // count, rows * (piece + 1) // count)


def _product_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """What the product is computed in: autocast's type where that is on, else the weight's own."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype


def _vocabulary(module: Any) -> int:
    return int(getattr(module, "out_features", 0) or len(module.weight))


def _scale_of(config: Any) -> float:
    """cohere multiplies its logits by logit_scale, granite divides them by logits_scaling."""
    return float(getattr(config, "logit_scale", None) or 1.0) / float(getattr(config, "logits_scaling", None) or 1.0)
