"""Log-probabilities of whole answers without gradients: those of the reference, kept for as long as a run lasts."""

from __future__ import annotations

import array
import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from furrow.components.events import Emit, Progressed
from furrow.components.fine_tuner.pytorch.engine.cut import cut
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.memory import SMALLEST, free_unused, is_out_of_memory, reason_of
from furrow.components.records import AnyExample, Example

STAGE = "measuring the reference"


class Reference:
    """What the model gave each answer before the first step. With an adapter that begins at nothing (lora) that is the
    model with its adapter switched off; with one that goes on from an earlier run, it is that run's result.

    Only the numbers are kept, 16 bytes for each: full fine-tuning needs no second copy of the weights, and rows that
    lie on disk stay there. An answer is known by what it says.
    """

    def __init__(self) -> None:
        self._keys, self._logps = np.zeros(0, np.uint64), np.zeros(0)

    def measure(self, rows: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        keys, found = array.array("Q"), array.array("d")
        done = 0
        for _, piece, logps in _measured(rows, forward):
            keys.extend(_key_of(sequence) for row in piece for sequence in row.sequences)
            found.extend(logps.tolist())
            done += len(piece)
            emit(Progressed(stage=STAGE, done=done, total=len(rows)))
        every = np.concatenate([self._keys, np.array(keys, dtype=np.uint64)])
        self._keys, first = np.unique(every, return_index=True)
        self._logps = np.concatenate([self._logps, np.array(found)])[first]

    def of(self, sequences: Iterable[AnyExample], like: torch.Tensor) -> torch.Tensor:
        """[sequences], on the device of `like` and in its number type."""
        keys = np.array([_key_of(one) for row in sequences for one in row.sequences], dtype=np.uint64)
        at = np.searchsorted(self._keys, keys)
        assert (self._keys[np.minimum(at, len(self._keys) - 1)] == keys).all(), "an answer that was not measured"
        return like.new_tensor(self._logps[at].tolist())


def answer_logps(sequences: Sequence[AnyExample], forward: Forward) -> torch.Tensor:
    """Sum of log p over the learned tokens of each, in their order: [sequences]."""
    found: torch.Tensor | None = None
    for places, _, logps in _measured(sequences, forward):
        found = logps.new_empty(len(sequences)) if found is None else found
        found[torch.from_numpy(places).to(logps.device)] = logps
    assert found is not None
    return found


def _key_of(sequence: Example) -> int:
    """64 bits of what it says and which of it is learned: with a billion answers, the odds that two of them are taken
    for one are 1 in 37."""
    said = array.array("q", sequence.input_ids).tobytes() + bytes(sequence.learned)
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "little")


@torch.no_grad()
def _measured(
    rows: Sequence[AnyExample], forward: Forward
) -> Iterator[tuple[np.ndarray, Sequence[AnyExample], torch.Tensor]]:
    """Pieces of the rows (their places among them, and they themselves), each with the log-probabilities of its
    sequences. Where memory has no room for a piece, the budget is halved and what is left is cut anew. Raises
    FurrowError where one row alone is too much."""
    budget = forward.budget
    waiting = cut(rows, budget.tokens, forward.tokens_of)
    left = len(waiting)
    while left:
        piece = waiting[left - 1]  # the longest rows first: what does not fit shows at once
        try:
            logps = forward([row.sequences for row in piece]).sequence_logps()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            tried = forward.tokens_of([len(one.input_ids) for row in piece for one in row.sequences])
            if len(piece) == 1 or budget.tokens <= SMALLEST:
                raise budget.too_much(piece[-1], tried, "without gradients", reason_of(error)) from error
            reason = reason_of(error)
        else:
            yield waiting.places(left - 1), piece, logps
            left -= 1
            continue
        free_unused(forward.device)
        budget.halve(tried, reason)
        waiting = waiting.cut_again(left, budget.tokens, forward.tokens_of)
        left = len(waiting)
