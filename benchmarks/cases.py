"""What is trained, apart from who trains it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.shape import ModelShape

RANK, ALPHA = 8, 16
"""Of every adapter: on all linear layers of the blocks, no dropout."""
ROWS_PER_STEP = 8
PEER_BATCH, PEER_ACCUMULATION = 4, 2
"""How the peers cut the effective batch: what their examples use on a small machine. Furrow cuts by tokens."""
LEARNING_RATE = 2e-4
"""AdamW's, falling linearly to 0, no warm-up, no weight decay, gradients cut to norm 1."""
SEED = 7
TOLD = {
    "rank": RANK,
    "alpha": ALPHA,
    "batch": PEER_BATCH,
    "accumulation": PEER_ACCUMULATION,
    "learning_rate": LEARNING_RATE,
    "seed": SEED,
}
"""What each of our scripts is told that call a library (workers/)."""


@dataclass(frozen=True)
class Case:
    """One kind of training."""

    name: str
    title: str
    method: str
    """lora, qlora or full."""
    systems: tuple[str, ...]
    """Who takes part, in the order of a round."""
    epochs: int = 1
    last_quarter: bool = False
    """Adapters on the last quarter of the layers only."""

    def adapted(self, shape: ModelShape) -> list[int] | None:
        """The layers that get adapters; None means all of them."""
        if not self.last_quarter:
            return None
        return list(range(shape.layers - max(1, round(shape.layers / 4)), shape.layers))


CASES = {
    case.name: case
    for case in (
        Case(
            "lora",
            "LoRA on all linear layers, one epoch",
            "lora",
            (
                "furrow",
                "trainer",
                "trl",
                "trl-packed",
                "trl-packed-stored",
                "litgpt",
                "llamafactory",
                "axolotl",
            ),
        ),
        Case(
            "layers",
            "LoRA on the last quarter of the layers, three epochs",
            "lora",
            ("furrow", "furrow-no-cache", "trainer"),
            epochs=3,
            last_quarter=True,
        ),
        Case("qlora", "QLoRA: the base in nf4, one epoch", "qlora", ("furrow", "trainer")),
        Case("full", "All weights, one epoch", "full", ("furrow", "trainer", "trl", "litgpt")),
    )
}
