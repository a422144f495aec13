"""Which tensors a GGUF file holds, and what is done to each on the way: a plan first, then one tensor at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from gguf import MODEL_TENSOR, get_tensor_name_map

from furrow.components.errors import FurrowError
from furrow.components.exporter.gguf.families import Family
from furrow.components.exporter.gguf.weights import Weights

_BUFFERS = re.compile(r"rotary_emb\.inv_freq$|\.attn\.(masked_)?bias$")
"""What old checkpoints keep though it is computed: frequencies and causal masks."""
_HEAD, _SUFFIXES = "lm_head.weight", (".weight", ".bias")


@dataclass(frozen=True)
class PlannedTensor:
    """One tensor of the file: `source` is its name in the model, `shape` that of transformers (rows first)."""

    name: str
    source: str
    shape: tuple[int, ...]
    order: torch.Tensor | None = None
    offset: float = 0.0

    def load(self, weights: Weights) -> torch.Tensor:
        """The tensor as llama.cpp wants it, in its stored type."""
        tensor = weights.load(self.source)
        if self.order is not None:
            tensor = tensor[self.order]
        if self.offset:  # in float32: 1 + w in bfloat16 would round w to 1/128
            tensor = tensor.float() + self.offset
        return tensor


def plan(weights: Weights, config: Any, family: Family) -> list[PlannedTensor]:
    """Every tensor of the model under its GGUF name.

    Raises FurrowError for a tensor that the graph does not load, and for tied embeddings that are not tied.
    """
    names = Names(config, family)
    tied = bool(config.tie_word_embeddings)
    skip_head = tied and family.tied_head
    if tied and _HEAD in weights:
        _check_tied(weights, names)
    planned = [
        _planned(source, weights, config, family, names)
        for source in weights.names
        if not _BUFFERS.search(source) and not (source == _HEAD and skip_head)
    ]
    if tied and not family.tied_head and _HEAD not in weights:
        embeddings = next(tensor for tensor in planned if tensor.name == "token_embd.weight")
        planned.append(PlannedTensor("output.weight", embeddings.source, embeddings.shape))
    return planned


class Names:
    """transformers' names of tensors in GGUF's; knows only those that the family's graph loads."""

    def __init__(self, config: Any, family: Family) -> None:
        self._map = get_tensor_name_map(family.arch, config.num_hidden_layers)
        self._architecture = config.architectures[0]

    def of(self, source: str) -> tuple[MODEL_TENSOR, str]:
        """(kind, GGUF name); FurrowError if the graph has no such tensor."""
        found = self._map.get_type_and_name(source, try_suffixes=_SUFFIXES)
        if found is None:
            raise FurrowError(f"llama.cpp's graph of {self._architecture} has no tensor for {source}")
        return found


def _planned(source: str, weights: Weights, config: Any, family: Family, names: Names) -> PlannedTensor:
    kind, name = names.of(source)
    order = family.row_order.get(kind)
    return PlannedTensor(
        name,
        source,
        weights.shape(source),
        order=order(config) if order else None,
        offset=1.0 if family.one_plus_norms and "NORM" in kind.name else 0.0,
    )


def _check_tied(weights: Weights, names: Names) -> None:
    for source in _named(weights, names, MODEL_TENSOR.TOKEN_EMBD):
        if not torch.equal(weights.load(source), weights.load(_HEAD)):
            raise FurrowError(
                f"config.json says tie_word_embeddings, but {source} and {_HEAD} differ",
                where=str(weights.folder),
                remedy="set tie_word_embeddings to false if the head was trained apart",
            )


def _named(weights: Weights, names: Names, kind: MODEL_TENSOR) -> Iterator[str]:
    return (source for source in weights.names if not _BUFFERS.search(source) and names.of(source)[0] is kind)
