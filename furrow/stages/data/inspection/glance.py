"""What `train` says of its rows besides lengths: the rules of an inspection over so many rows that nobody waits."""

from __future__ import annotations

from collections.abc import Iterator

from furrow.components.events import Warned, listed
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.inspection.judgement import of_rules
from furrow.stages.data.inspection.survey import Survey
from furrow.stages.data.rows import Rows

LOOKED_AT = 5_000
"""Rows at equal distances: 0.3 s of work."""


def glance(rows: Rows) -> Iterator[Warned]:
    """One warning for each rule that some of them break."""
    both = rows.both
    count = min(len(both), LOOKED_AT)
    numbers = [place * len(both) // count for place in range(count)]
    survey = Survey(BadRows(skip=True))
    survey.see(both[number] for number in numbers)
    sampled = f" (of {len(numbers):,} that were looked at)" if len(numbers) < len(both) else ""
    for finding in of_rules(survey):
        if finding.severity != "note":
            yield Warned(
                message=f"{finding.message}{sampled}: {listed(finding.where[:1000])}",
                remedy=f"`furrow data inspect` shows them; {finding.setting}",
            )
