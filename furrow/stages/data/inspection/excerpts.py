"""What a finding shows of a row: a line around the fault, in which no secret and nobody's address stands."""

from __future__ import annotations

import re

from furrow.components.plain_text import one_line
from furrow.stages.data.quality import characters, private

LENGTH = 120
"""Characters."""
_BEFORE = 40
_FAULTS: dict[str, re.Pattern[str]] = {
    "control_characters": characters.CONTROL,
    "replacement_character": re.compile("\ufffd"),
    "mojibake": characters.MOJIBAKE,
    "invisible_characters": characters.INVISIBLE,
    "markup": characters.MARKUP,
}
_ENDS = frozenset({"unfinished_answer"})
"""Rules of which the end of a text tells more than its beginning."""


def excerpt(text: str, rule: str = "") -> str:
    """At most LENGTH characters: those around what the rule complains of, or the first."""
    found = _FAULTS[rule].search(text) if rule in _FAULTS else None
    text = private.masked(text) if found is None else text
    start = max(0, found.start() - _BEFORE) if found else max(0, len(text) - LENGTH + 1) if rule in _ENDS else 0
    cut = text[start : start + LENGTH * 4]
    line = one_line(private.masked(cut))
    shown = ("…" if start else "") + line
    return shown if len(shown) <= LENGTH else shown[: LENGTH - 1] + "…"
