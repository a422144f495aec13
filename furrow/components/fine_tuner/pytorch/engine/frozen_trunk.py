"""Layers below the first trained one: what they make of a row never changes, so it is computed once and kept.

With k frozen layers at the bottom, the hidden states that enter layer k depend on the row's token ids and on weights
that do not learn. The first time a row is seen they are computed without gradients and put into a file; later epochs
and evaluations read them, and of the decoder only the layers from k on run. The backward pass ends at layer k.

The decoder's own code runs in both halves, with stand-ins in the place of the layers that are not wanted: whatever an
architecture does around its layers (scaled embeddings, attention that depends on the layer's number) stays as it is.
"""

from __future__ import annotations

import array
import contextlib
import hashlib
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from furrow.components.fine_tuner.pytorch.engine.activation_file import ActivationFile
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.layout import Layout, common_beginning
from furrow.components.records import AnyExample, Classified, Example, Judged, Packed, Pair


@dataclass
class FrozenTrunk:
    """Implements `Trunk` for a decoder whose first `depth` layers are frozen."""

    forward: Forward
    layers: nn.ModuleList
    depth: int
    kept: ActivationFile | None = None
    """Where results are kept; None computes them each time."""
    seen_again: Container[bytes] = frozenset()
    """Texts that are worth keeping, by `key_of`."""
    computed_tokens: int = field(default=0, init=False)
    """Tokens that went through the frozen layers so far."""

    def hidden(self, layout: Layout) -> Tensor:
        """The decoder's last hidden states: [tokens, width]. What the frozen layers make of known texts is read."""
        return self.above(layout, self.entering(layout))

    def above(self, layout: Layout, entering: Tensor) -> Tensor:
        """The other layers alone, on what enters the first of them: [tokens, width]."""
        with self._standing_in(range(self.depth)) as stand_ins:
            stand_ins[0].answer = entering
            return self.forward.decode(layout)

    def entering(self, layout: Layout) -> Tensor:
        """What enters the first trained layer, in the shape of the layout, without a gradient."""
        keys = [key_of(sequence.input_ids[:last]) for sequence, _, last in layout.pieces]
        found = [
            self.kept.read(key, first, last) if self.kept else None
            for key, (_, first, last) in zip(keys, layout.pieces, strict=True)
        ]
        missing = [piece for piece, rows in zip(layout.pieces, found, strict=True) if rows is None]
        if len(missing) == len(found):
            computed = self.compute(layout)
            self._keep(keys, layout, computed)
            return computed
        if missing:  # texts that are new, or for which there was no room
            whole = {key_of(sequence.input_ids[:last]): _beginning(sequence, last) for sequence, _, last in missing}
            alone = self.forward.lay([(sequence,) for sequence in whole.values()])
            computed = self.compute(alone)
            self._keep(list(whole), alone, computed)
            rows_of = dict(zip(whole, _pieces(alone, computed), strict=True))
            for number, (_, first, last) in enumerate(layout.pieces):
                if found[number] is None:
                    found[number] = rows_of[keys[number]][first:last]
        return _laid_out(layout, [rows.to(self.forward.device) for rows in found if rows is not None])

    @torch.no_grad()
    def compute(self, layout: Layout) -> Tensor:
        """The frozen layers themselves."""
        with self._standing_in(range(self.depth, len(self.layers))) as stand_ins:
            self.forward.decode(layout)
            entering = stand_ins[0].seen
        assert entering is not None
        self.computed_tokens += sum(last - first for _, first, last in layout.pieces)
        return entering

    def _keep(self, keys: Sequence[bytes], layout: Layout, computed: Tensor) -> None:
        if self.kept is not None and any(key in self.seen_again for key in keys):  # else spare the way from the device
            pieces = zip(keys, layout.pieces, _pieces(layout, computed.cpu()), strict=True)
            for key, (_, first, _), rows in pieces:
                if key in self.seen_again:
                    self.kept.write(key, first, rows)

    @contextlib.contextmanager
    def _standing_in(self, numbers: range) -> Iterator[list[_StandIn]]:
        """Puts stand-ins in the place of these layers for the length of the block."""
        slots = self.layers._modules
        real = {str(number): slots[str(number)] for number in numbers}
        stand_ins = {name: _StandIn(layer) for name, layer in real.items()}
        slots.update(stand_ins)
        try:
            yield list(stand_ins.values())
        finally:
            slots.update(real)


class _StandIn(nn.Module):
    """Hands on what it is given, or `answer`, and remembers it as `seen`. Looks like the layer in everything else."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.__dict__["layer"] = layer  # not as a submodule: it is no child of ours
        self.answer: Tensor | None = None
        self.seen: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["layer"], name)

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        self.seen = hidden_states
        return hidden_states if self.answer is None else self.answer


def key_of(ids: Sequence[int]) -> bytes:
    """A text by its token ids; what the frozen layers make of its tokens depends on nothing else."""
    return hashlib.blake2b(array.array("q", ids).tobytes(), digest_size=16).digest()


class Texts(Container[bytes]):
    """A set of keys in 8 bytes each: with a billion of them, one text in 20 billion is taken for one of them."""

    def __init__(self, keys: np.ndarray) -> None:
        self._keys = keys
        """The first 64 bits of each, ascending."""

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, bytes):
            return False
        beginning = _beginning_of_key(key)
        at = int(np.searchsorted(self._keys, np.uint64(beginning)))
        return at < len(self._keys) and int(self._keys[at]) == beginning


def _beginning_of_key(key: bytes) -> int:
    return int.from_bytes(key[:8], "little")


def texts_of(rows: Iterable[AnyExample]) -> tuple[Texts, int]:
    """(keys of the texts that go through the model whenever these rows do, tokens that are to be kept of them).

    Of sequences that begin in common (`Forward` computes that beginning once), the beginning is a text of its own.
    """
    keys, tokens = array.array("Q"), array.array("Q")

    def add(key: bytes, own: int) -> None:
        keys.append(_beginning_of_key(key))
        tokens.append(own)

    for row in rows:
        groups: list[Sequence[Example]] = [row.sequences]
        if isinstance(row, Packed):
            groups = [(one,) for one in row.sequences]
        elif isinstance(row, Judged):
            groups.append((row.unrelated,))
        for group in groups:
            shared = common_beginning(group) if len(group) > 1 else 0
            beginning = [_beginning(group[0], shared)] if shared else []
            for sequence, own in [
                *((one, shared) for one in beginning),
                *((one, len(one.input_ids) - shared) for one in group),
            ]:
                add(key_of(sequence.input_ids), own)
        if isinstance(row, Pair | Classified):  # a head reads them without the padding at their end (`last_token`)
            for one in row.sequences:
                add(key_of(_without_last_run(one).input_ids), 0)
    found, first = np.unique(np.array(keys, dtype=np.uint64), return_index=True)
    return Texts(found), int(np.array(tokens)[first].sum())


def _without_last_run(sequence: Example) -> Example:
    ids = sequence.input_ids
    end = len(ids)
    while end > 1 and ids[end - 1] == ids[-1]:
        end -= 1
    return _beginning(sequence, end)


def _beginning(sequence: Example, end: int) -> Example:
    return sequence._replace(input_ids=sequence.input_ids[:end], learned=sequence.learned[:end])


def _pieces(layout: Layout, states: Tensor) -> list[Tensor]:
    """What belongs to each of `layout.pieces`, [tokens of it, width]."""
    lengths = [last - first for _, first, last in layout.pieces]
    if layout.spans:
        return list(states[0].split(lengths))
    return [states[row, :length] for row, length in enumerate(lengths)]


def _laid_out(layout: Layout, pieces: Sequence[Tensor]) -> Tensor:
    """The opposite of `_pieces`; padding is zero."""
    if layout.spans:
        return torch.cat(list(pieces))[None]
    return nn.utils.rnn.pad_sequence(list(pieces), batch_first=True)
