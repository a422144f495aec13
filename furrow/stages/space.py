"""How much of a disk a run takes, before its model is loaded. The fine-tuner measures its part again once it is."""

from __future__ import annotations

from furrow.components.disk.space import Space
from furrow.strategies.schema import ExportConfig, Strategy

WEIGHT = 4.0
"""Bytes of a weight that learns: it is kept in float32."""
GGUF = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 1.1}
"""Bytes a parameter of a GGUF by number type; what is not listed has at most OTHER_GGUF (q6_k: 0.82)."""
OTHER_GGUF = 0.9
KEPT = 3
"""Checkpoints assumed where save_total_limit does not say."""
_PLAIN = ("f32", "f16", "bf16")
"""Types that are written at once; the others are made from a file in float32."""


def exports_of(export: ExportConfig, *, adapter: bool) -> float:
    """Bytes for each parameter of the base: everything that is asked for, and what the largest of it needs meanwhile.

    `adapter`: what is trained lies beside its base, and is merged in float32 before a GGUF is made of it.
    """
    merged, gguf = (4.0 if adapter else 0.0), GGUF.get(export.quantization, OTHER_GGUF)
    unquantised = 0.0 if export.quantization in _PLAIN else 4.0
    asked = [
        (export.to_merged, 4.0, 0.0),
        (export.to_gguf, gguf, merged + unquantised),
        (export.to_gguf_adapter, 0.0, 8.0),  # it is compared on its base, in full and as a GGUF
        (export.to_ollama, gguf, merged + unquantised),
    ]
    kept = sum(size for is_asked, size, _ in asked if is_asked)
    return kept + max((meanwhile for is_asked, _, meanwhile in asked if is_asked), default=0.0)


def estimated_space(strategy: Strategy, parameters: int, hidden_size: int) -> Space:
    """An estimate for a base model of that size. How many checkpoints there will be follows from the data: where
    nothing says how many are kept, KEPT are reckoned with."""
    config = strategy.fine_tuner.config
    arguments = getattr(config, "training_args", None)
    adapter = is_adapter(strategy)
    trained = parameters * _learning_share(config, hidden_size) * WEIGHT
    share = getattr(arguments, "checkpoint_share", None)
    saves = getattr(arguments, "save_strategy", "steps") != "no"
    limit = getattr(arguments, "save_total_limit", None) or KEPT
    best = getattr(arguments, "load_best_model_at_end", False)
    return Space(
        checkpoint=int(trained * (share(adapter) if share is not None else 1.0)),
        saves=limit + 1 + best if saves else int(best),
        limit=limit,
        best=best,
        final=int(trained),
        exports=int(parameters * exports_of(strategy.export, adapter=adapter)),
    )


def is_adapter(strategy: Strategy) -> bool:
    """Whether what is trained lies beside its base."""
    return getattr(getattr(strategy.fine_tuner.config, "method", None), "type", "full") != "full"


def _learning_share(config: object, hidden_size: int) -> float:
    """The part of the parameters that learns: all, or for LoRA about 2 · r / hidden size, as for square matrices."""
    rank = getattr(getattr(config, "method", None), "r", None)
    return 1.0 if rank is None else min(1.0, 2 * rank / hidden_size)
