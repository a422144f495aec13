"""Log-probabilities of whole answers without gradients: those of the reference, kept for as long as a run lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

    Only the numbers are kept: full fine-tuning needs no second copy of the weights.
    """

    def __init__(self) -> None:
        self._logps: dict[int, float] = {}
        self._rows: list[AnyExample] = []  # held, so that no other object takes the id of one of their sequences

    def measure(self, rows: Sequence[AnyExample], forward: Forward, emit: Emit) -> None:
        self._rows += rows
        done = 0
        for piece, logps in _measured(rows, forward):
            sequences = [sequence for row in piece for sequence in row.sequences]
            self._logps.update(zip(map(id, sequences), logps.tolist(), strict=True))
            done += len(piece)
            emit(Progressed(stage=STAGE, done=done, total=len(rows)))

    def of(self, sequences: Sequence[Example], like: torch.Tensor) -> torch.Tensor:
        """[sequences], on the device of `like` and in its number type."""
        return like.new_tensor([self._logps[id(sequence)] for sequence in sequences])


def answer_logps(sequences: Sequence[Example], forward: Forward) -> torch.Tensor:
    """Sum of log p over the learned tokens of each, in their order: [sequences]."""
    found: dict[int, torch.Tensor] = {}
    for piece, logps in _measured(sequences, forward):
        found.update(zip(map(id, piece), logps.unbind(), strict=True))
    return torch.stack([found[id(sequence)] for sequence in sequences])


@torch.no_grad()
def _measured(rows: Sequence[AnyExample], forward: Forward) -> Iterator[tuple[Sequence[AnyExample], torch.Tensor]]:
    """Pieces of the rows, each with the log-probabilities of its sequences. Where memory has no room for a piece, the
    budget is halved and what is left is cut anew. Raises FurrowError where one row alone is too much."""
    budget = forward.budget
    waiting = cut(rows, budget.tokens, forward.tokens_of)
    while waiting:
        piece = waiting.pop()  # the longest rows first: what does not fit shows at once
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
            yield piece, logps
            continue
        free_unused(forward.device)
        budget.halve(tried, reason)
        waiting = cut([row for left in [*waiting, piece] for row in left], budget.tokens, forward.tokens_of)
