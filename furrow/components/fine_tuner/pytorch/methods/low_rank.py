"""LoRA and what begins, scales or learns otherwise: each is LoRA with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from furrow.components.config import Bound
from furrow.components.fine_tuner.pytorch.methods.shared import MERGE, Dropout, GoesOn, LowRank


class LoraMethod(LowRank, GoesOn):
    """LoRA (Hu et al. 2021, arXiv:2106.09685): frozen weights W plus scale · B·A of rank r in chosen linear layers."""

    type: Literal["lora"] = "lora"
    """lora."""


class RsloraMethod(LowRank, GoesOn):
    """Rank-stabilised LoRA (Kalajdzievski 2023, arXiv:2312.03732): LoRA whose scale is alpha / sqrt(r)."""

    type: Literal["rslora"] = "rslora"
    """rslora."""
    use_rslora: Literal[True] = True
    """What the method is."""


class DoraMethod(LowRank, GoesOn):
    """DoRA (Liu et al. 2024, arXiv:2402.09353): LoRA on the direction of each weight, and its length learned apart."""

    type: Literal["dora"] = "dora"
    """dora."""

    def not_exported(self) -> Mapping[str, str]:
        return {"gguf-adapter": f"a GGUF adapter holds LoRA matrices only, not DoRA's lengths; {MERGE}"}


class PissaMethod(LowRank):
    """PiSSA (Meng et al. 2024, arXiv:2404.02948): B·A begins as the r largest singular components of W, which are taken
    out of the frozen weight. Saved as a plain LoRA of rank 2 · r on the unchanged base."""

    not_here: ClassVar[Mapping[str, str]] = {
        **LowRank.not_here,
        "init_from": "a PiSSA adapter is saved as a plain LoRA of twice the rank: go on from it with `type: lora`",
        "quantization": "singular components are taken from full weights, not quantised ones; say `type: qlora`, which "
        "begins at zero",
        "double_quantization": "PiSSA has full weights; say `type: qlora`",
    }

    type: Literal["pissa"] = "pissa"
    """pissa."""
    dropout: Dropout = 0.0
    """Share of the adapter's inputs that is zeroed in training. Default: none, as in the paper; here it would drop the
    largest components of the weight itself."""
    niter: Annotated[int, Field(ge=1)] | None = None
    """Find the components by that many subspace iterations (seconds for 7 B parameters; 16 come close) instead of the
    exact decomposition. Default: exact."""


class LoraplusMethod(LowRank, GoesOn):
    """LoRA+ (Hayou et al. 2024, arXiv:2402.12354): LoRA whose B learns faster than its A."""

    not_here: ClassVar[Mapping[str, str]] = {
        name: why for name, why in LowRank.not_here.items() if name not in ("lr_ratio", "loraplus_lr_ratio")
    } | {"loraplus_lr_ratio": "say lr_ratio"}

    type: Literal["loraplus"] = "loraplus"
    """loraplus."""
    lr_ratio: Annotated[float, Field(ge=1), Bound()] = 16.0
    """Learning rate of B, and of biases, in multiples of `learning_rate`, which is A's. Default: the paper's."""
