"""tokenizer.json as it comes from others: no text grows in it without bound, and it fits into memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from furrow.components.errors import RequestError

LARGEST = 64_000_000
"""Bytes. The largest that are known have 33 million (Gemma 3); in memory it takes about ten times its size."""
_MOST_GROWTH = 1000
"""How many times longer its rules may make a text. Of those that are known none makes it longer than six times."""


def refuse_bombs(tokenizer: dict[str, Any], file: Path) -> None:
    """Raises RequestError for rules that put a long text in the place of a short one, again and again."""
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        growth = math.prod(_growths(tokenizer.get(part)))
        if growth > _MOST_GROWTH:
            raise RequestError(
                f"the {part} may make a text {min(growth, 10**18):.0e} times longer",
                where=str(file),
                remedy="choose another tokenizer",
            )


def _growths(rule: Any) -> Iterator[int]:
    """For every rule that replaces or puts before: how much longer it makes one character."""
    waiting = [rule]
    while waiting:
        rule = waiting.pop()
        if isinstance(rule, dict):
            if rule.get("type") in ("Replace", "Prepend"):
                yield max(1, len(str(rule.get("content") or rule.get("prepend") or "")))
            waiting += rule.values()
        elif isinstance(rule, list):
            waiting += rule
