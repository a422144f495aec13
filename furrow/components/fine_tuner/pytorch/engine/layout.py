"""How the rows of a micro-batch lie in memory: one after the other without padding, or one below the other with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from furrow.components.records import Example

Groups = Sequence[Sequence[Example]]
"""Sequences that go through the model together; those of one group may share the beginning that they have in common."""


@dataclass(frozen=True)
class Span:
    """Tokens [start, end) of a flat micro-batch: they attend to their own past, and where a beginning is shared to all
    of [prefix_start, prefix_end). Equal numbers: there is none."""

    start: int
    end: int
    prefix_start: int = 0
    prefix_end: int = 0


@dataclass(frozen=True)
class Layout:
    """Token ids with their positions in the row, and where in them the learned tokens are predicted.

    `input_ids` and `position_ids` are [1, tokens] (flat) or [rows, longest] (padded on the right). The indices count
    tokens of the flattened ids: `sources[n]` predicts `targets[n]`, which belongs to sequence `owners[n]`;
    `last[s]` is the last token of sequence s, `learned[s]` how many of its tokens are predicted.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    sources: torch.Tensor
    targets: torch.Tensor
    owners: torch.Tensor
    last: torch.Tensor
    learned: torch.Tensor
    pieces: tuple[tuple[Example, int, int], ...]
    """(sequence, its first and its end position) of every stretch of tokens, in order: who a token belongs to."""
    spans: tuple[Span, ...] = ()
    """Of a flat layout."""
    attention_mask: torch.Tensor | None = None
    """Of a padded layout: 1 where a token is."""
    weights: torch.Tensor | None = None
    """How much `targets[n]` counts; None: each as much as another."""

    @property
    def sequences(self) -> int:
        return len(self.last)


@dataclass
class _Targets:
    sources: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    weighted: bool = False

    def add(self, example: Example, place: Sequence[int]) -> None:
        """`place[i]` is where token i of the sequence lies. A first token is not predicted."""
        owner = len(self.last)
        for position in range(1, len(example.input_ids)):
            if example.learned[position]:
                self.sources.append(place[position - 1])
                self.targets.append(example.input_ids[position])
                self.owners.append(owner)
                self.weights.append(1.0 if example.weights is None else example.weights[position])
        self.weighted |= example.weights is not None
        self.last.append(place[-1])
        self.learned.append(sum(example.learned[1:]))

    def tensors(self, device: torch.device) -> dict[str, Any]:
        found = dict(vars(self))
        weights = found.pop("weights") if found.pop("weighted") else None
        return {
            "weights": None if weights is None else torch.tensor(weights, dtype=torch.float32, device=device),
            **{name: torch.tensor(values, dtype=torch.long, device=device) for name, values in found.items()},
        }


def flat(groups: Groups, device: torch.device) -> Layout:
    """One after the other. What the sequences of a group begin with in common is computed once.

    That is exact: a token's hidden state depends on the tokens before it and on nothing else.
    """
    ids: list[int] = []
    positions: list[int] = []
    spans: list[Span] = []
    pieces: list[tuple[Example, int, int]] = []
    found = _Targets()

    def put(example: Example, first: int, prefix: tuple[int, int] = (0, 0)) -> range:
        start = len(ids)
        ids.extend(example.input_ids[first:])
        positions.extend(range(first, len(example.input_ids)))
        if len(ids) > start:
            spans.append(Span(start, len(ids), *prefix))
            pieces.append((example, first, len(example.input_ids)))
        return range(start, len(ids))

    for group in groups:
        shared = common_beginning(group) if len(group) > 1 else 0
        prefix = range(0)
        if shared:
            prefix = range(len(ids), len(ids) + shared)
            ids.extend(group[0].input_ids[:shared])
            positions.extend(range(shared))
            spans.append(Span(prefix.start, prefix.stop))
            pieces.append((group[0], 0, shared))
        for example in group:
            own = put(example, shared, (prefix.start, prefix.stop) if shared else (0, 0))
            found.add(example, [*prefix, *own])
    return Layout(
        input_ids=torch.tensor([ids], device=device),
        position_ids=torch.tensor([positions], device=device),
        pieces=tuple(pieces),
        spans=tuple(spans),
        **found.tensors(device),
    )


def padded(groups: Groups, pad_id: int, device: torch.device) -> Layout:
    """One below the other, padded on the right to the longest."""
    rows = [example for group in groups for example in group]
    longest = max(len(example.input_ids) for example in rows)
    ids = torch.full((len(rows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    found = _Targets()
    for row, example in enumerate(rows):
        length = len(example.input_ids)
        ids[row, :length] = torch.tensor(example.input_ids)
        mask[row, :length] = 1
        found.add(example, range(row * longest, row * longest + length))
    return Layout(
        input_ids=ids.to(device),
        position_ids=torch.arange(longest, device=device).expand(len(rows), -1),
        pieces=tuple((example, 0, len(example.input_ids)) for example in rows),
        attention_mask=mask.to(device),
        **found.tensors(device),
    )


def common_beginning(group: Sequence[Example]) -> int:
    """How many tokens all sequences of the group begin with in common."""
    count = 0
    for tokens in zip(*(example.input_ids for example in group), strict=False):
        if len(set(tokens)) > 1:
            break
        count += 1
    return count
