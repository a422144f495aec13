"""Rows whose text the tokenizer reads as control tokens: `<|im_end|>` in a question ends the user's turn there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from furrow.components.errors import several
from furrow.components.events import Warned, listed
from furrow.components.records import Row
from furrow.components.tokens import control_tokens


def forged_turns(rows: Iterable[Row], tokenizer: Any) -> Warned | None:
    """What there is to say about such rows; None where there are none.

    They are learned as they stand. Chat and format templates put their own control tokens around the text, and a
    tokenizer cannot tell those from the ones within it; data that is rendered already (an answer that ends with `</s>`)
    looks the same as data that forges a turn, so that the person who knows which it is has to decide.
    """
    names = control_tokens(tokenizer)
    if not names:
        return None
    pattern = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    found = [(row.where, name) for row in rows if (name := _first(row.columns, pattern)) is not None]
    if not found:
        return None
    which = several(sorted({name for _, name in found}))
    return Warned(
        message=f"{len(found):,} rows hold text that the tokenizer reads as a control token ({which}): "
        + listed([where for where, _ in found]),
        remedy="it ends or begins a turn in the middle of a text; take it out of the data unless that is meant",
    )


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
