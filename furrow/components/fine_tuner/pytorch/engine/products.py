"""Matrix products in float32 on a CPU: by oneDNN where it is quicker than the library behind `torch.mm`.

Measured on two cores (AVX-512), 256 to 1,034 tokens and widths of 576 to 1,536, in GFLOP/s of torch.mm and of oneDNN:
g W, whose second matrix lies in memory as it is needed, 196 and 213; x Wᵀ 198, and 163 to 212 depending on the number
of tokens; thin ones (rank 8) 28 to 66, and 83; the head's x Wᵀ 165 and 205. Other types and devices take torch's own.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b for x [tokens, in] and W [out, in]. Has no gradient of its own: for use inside autograd functions."""
    if _by_onednn(x, weight):
        try:
            return _linear()(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]
        except RuntimeError as error:
            _only_without_room(error)
    return F.linear(x, weight, bias)


def added_product(total: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """total + x Wᵀ, in a tensor of its own or in `total`, which is not to be used any more."""
    if _by_onednn(x, weight):
        try:
            return _linear().binary(x, total, weight, None, "add")  # type: ignore[no-any-return]
        except RuntimeError as error:
            _only_without_room(error)
    return total.addmm_(x, weight.t())


def _only_without_room(error: RuntimeError) -> None:
    """Where memory is short, oneDNN "could not create a primitive": torch.mm may still fit, or says what is wrong."""
    if "primitive" not in str(error):
        raise error


_THIN, _WIDE = 64, 8192
"""Between these, x Wᵀ is left to torch.mm."""


def _by_onednn(x: Tensor, weight: Tensor) -> bool:
    if weight.stride(1) == 1 and _THIN < len(weight) < _WIDE:
        return False
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32
    return plain and x.numel() > 0 and _linear() is not None and not torch.compiler.is_compiling()


@cache
def _linear() -> Any:
    """torch's operator for the linear layers that its compiler meets; it takes weights as they lie in memory."""
    if not torch.backends.mkldnn.is_available():
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)
