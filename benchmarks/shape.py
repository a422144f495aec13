"""The shape of the model that everybody tunes, and the arithmetic that tuning it cannot do without."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ModelShape:
    """A Llama without biases. All counts are of numbers, not of bytes."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    positions: int = 8192
    tied: bool = True
    """The head is the embedding."""

    @property
    def head_size(self) -> int:
        return self.hidden // self.heads

    @property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of the linear layers of one block: q, k, v, o, gate, up, down."""
        keys = self.kv_heads * self.head_size
        attention = ((self.hidden, self.hidden), (self.hidden, keys), (self.hidden, keys), (self.hidden, self.hidden))
        wide, narrow = (self.hidden, self.intermediate), (self.intermediate, self.hidden)
        return (*attention, wide, wide, narrow)

    @property
    def block_parameters(self) -> int:
        """Of the linear layers of one block."""
        return sum(inputs * outputs for inputs, outputs in self.matrices)

    @property
    def head_parameters(self) -> int:
        return self.hidden * self.vocabulary

    def as_config(self) -> dict[str, Any]:
        """The same in transformers' words (LlamaConfig); what SmolLM2 adds to its sizes is the same for every size."""
        return {
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "intermediate_size": self.intermediate,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": self.positions,
            "tie_word_embeddings": self.tied,
            "rms_norm_eps": 1e-5,
            "rope_theta": 100000.0,
            "initializer_range": 0.041666666666666664,
        }


SMOLLM2_135M = ModelShape(hidden=576, layers=30, heads=9, kv_heads=3, intermediate=1536, vocabulary=49152)
TOY = ModelShape(hidden=32, layers=4, heads=2, kv_heads=1, intermediate=64, vocabulary=1024, positions=512)
SHAPES = {"smollm2-135m": SMOLLM2_135M, "toy": TOY}


@dataclass(frozen=True)
class Arithmetic:
    """Floating-point operations that one epoch needs, a multiplication and an addition counted as two.

    A linear layer of P weights costs 2·P a token forward, 2·P for the gradient of its input, and 2·P for the gradient
    of its weights where they learn. Attention's own products, norms, the adapters and the optimiser are left out: the
    floor is lower than what any implementation can reach.
    """

    blocks: int
    head: int

    @property
    def total(self) -> int:
        return self.blocks + self.head

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def arithmetic(
    shape: ModelShape, *, tokens: int, learned: int, epochs: int, method: str, adapted: int | None = None
) -> Arithmetic:
    """What `epochs` over `tokens` tokens (`learned` of them with a loss) need at least.

    `adapted`: how many of the last layers learn (None: all). The blocks below them run forward only, and once: what
    enters the first layer that learns is the same in every epoch.
    """
    learning = shape.layers if adapted is None else adapted
    per_weight = 6 if method == "full" else 4
    above = tokens * shape.block_parameters * learning * per_weight * epochs
    below = tokens * shape.block_parameters * (shape.layers - learning) * 2
    head = learned * shape.head_parameters * per_weight * epochs
    return Arithmetic(blocks=above + below, head=head)
