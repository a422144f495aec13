"""The optimisers and schedules by name, and which settings belong to which. Imports no torch."""

from __future__ import annotations

from typing import Any, Literal

Optimizer = Literal["adamw", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adafactor", "lion", "sgd", "muon"]
SAME_OPTIMIZER = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw",
    "adamw_bnb_8bit": "adamw_8bit",
    "paged_adamw": "paged_adamw_32bit",
    "lion_32bit": "lion",
}
"""Names of transformers -> ours. Which kernel runs follows from the device."""
AnyOptimizer = Literal[Optimizer, "adamw_torch", "adamw_torch_fused", "adamw_bnb_8bit", "paged_adamw", "lion_32bit"]
BITSANDBYTES = ("adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit")
"""The optimisers that this package brings."""
STATE_SHARES = {
    "adamw": 2.0, "adamw_8bit": 0.51, "paged_adamw_8bit": 0.51, "paged_adamw_32bit": 2.0, "adafactor": 0.0,
    "lion": 1.0, "sgd": 1.0, "muon": 1.0,
}  # fmt: skip
"""Size of what an optimiser keeps of the weights that learn, in sizes of these weights in float32, at least. Adafactor
keeps a row and a column of each matrix; muon keeps as much as adamw of what is no inner matrix."""
_ADAM = ("adamw", *BITSANDBYTES, "muon")
OPTIMIZER_SETTINGS: dict[str, tuple[str, ...]] = {
    "adam_beta1": (*_ADAM, "lion"),
    "adam_beta2": (*_ADAM, "lion"),
    "adam_epsilon": _ADAM,
    "momentum": ("sgd", "muon"),
}
"""Setting -> the optimisers that have it."""
Schedule = Literal[
    "linear",
    "cosine",
    "cosine_with_restarts",
    "cosine_with_min_lr",
    "constant",
    "constant_with_warmup",
    "polynomial",
    "inverse_sqrt",
    "warmup_stable_decay",
]
_WITH_FLOOR = ("cosine_with_min_lr", "polynomial", "warmup_stable_decay")
SCHEDULE_SETTINGS: dict[str, tuple[str, ...]] = {
    "num_cycles": ("cosine", "cosine_with_restarts", "cosine_with_min_lr", "warmup_stable_decay"),
    "min_lr": _WITH_FLOOR,
    "power": ("polynomial",),
    "decay_ratio": ("warmup_stable_decay",),
    "decay_steps": ("warmup_stable_decay",),
}
"""Setting -> the schedules that have it."""
LION_BETA2 = 0.99
"""The default of its authors (Chen et al. 2023); AdamW's 0.999 would be slow to turn."""


def one_name(optimiser: Any) -> Any:
    """The name that is used here."""
    return SAME_OPTIMIZER.get(optimiser, optimiser) if isinstance(optimiser, str) else optimiser
