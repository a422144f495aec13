"""How many there are of something, in words: '1 row', '1,200 rows'."""

from __future__ import annotations


def plural(count: int, one: str, many: str = "") -> str:
    """The count with its noun; `many` where that is not `one` and an s ('row is', 'rows are')."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
