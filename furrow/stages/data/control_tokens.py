"""Rows whose text the tokenizer reads as control tokens: `<|im_end|>` in a question ends the user's turn there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from furrow.components.errors import several
from furrow.components.events import Warned, listed
from furrow.components.plural import plural
from furrow.components.records import Row
from furrow.components.tokens import control_tokens
from furrow.stages.data.places import Places

WELL_KNOWN = frozenset(
    {
        *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"),
        *("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        *("<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "</s>"),
    }
)
"""Those of the usual chat models, where the tokenizer is not here."""


def forged_turns(rows: Iterable[Row], tokenizer: Any) -> Warned | None:
    """What there is to say about such rows; None where there are none.

    They are learned as they stand. Chat and format templates put their own control tokens around the text, and a
    tokenizer cannot tell those from the ones within it; data that is rendered already (an answer that ends with `</s>`)
    looks the same as data that forges a turn, so that the person who knows which it is has to decide.
    """
    found, names = Places(), set[str]()
    for where, name in holding(rows, control_tokens(tokenizer)):
        found.add(where)
        names.add(name)
    if not found:
        return None
    which = several(sorted(names))
    return Warned(
        message=f"{plural(len(found), 'row holds', 'rows hold')} text that the tokenizer reads as a "
        f"control token ({which}): {listed(found)}",
        remedy="it ends or begins a turn in the middle of a text; take it out of the data unless that is meant",
    )


def holding(rows: Iterable[Row], names: Collection[str]) -> Iterator[tuple[str, str]]:
    """(`file:line`, name) of each row that has one of these names in a text, the first one."""
    if names:
        pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
        for row in rows:
            if (name := _first(row.columns, pattern)) is not None:
                yield row.where, name


def _first(value: Any, pattern: re.Pattern[str]) -> str | None:
    return next((match.group() for text in _texts(value) if (match := pattern.search(text))), None)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif hasattr(value, "values"):
        for inner in value.values():
            yield from _texts(inner)
