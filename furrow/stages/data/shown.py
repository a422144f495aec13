"""The rows of a dry run: every sequence that the model will see, token by token, with what it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from furrow.components.records import AnyExample, Classified, Example, Judged, Pair


class Shown(NamedTuple):
    """One sequence. `role`: what it is within its row ('chosen', 'rejected', …); '' where that goes without saying."""

    where: str
    role: str
    tokens: list[tuple[str, bool]]
    """(text, is learned) of every token."""


def shown(row: AnyExample, tokenizer: Any) -> list[Shown]:
    """All sequences of a row, in order."""
    return [Shown(row.where, role, _tokens(sequence, tokenizer)) for role, sequence in _roles(row)]


def _roles(row: AnyExample) -> Iterator[tuple[str, Example]]:
    match row:
        case Pair():
            yield "chosen", row.chosen
            yield "rejected", row.rejected
        case Judged():
            yield "wanted" if row.desirable else "unwanted", row.example
        case Classified():
            yield f"class {row.label}", row.example
        case _:
            for sequence in row.sequences:
                yield "", sequence


def _tokens(sequence: Example, tokenizer: Any) -> list[tuple[str, bool]]:
    return [
        (tokenizer.decode([token]), learned)
        for token, learned in zip(sequence.input_ids, sequence.learned, strict=True)
    ]
