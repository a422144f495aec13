"""What is said while rows are read: what becomes a finding, and what is to be heard as it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from furrow.components.events import Emit, Event, LayoutsRecognised, Noted, Progressed, Warned
from furrow.components.plural import plural
from furrow.stages.data.inspection.findings import Finding


class Heard:
    """Hands on what the readers note, and keeps the layouts. Of the rest (duplicates, leaks, splits) there are
    findings."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._notes: list[Event] = []
        self._mixed: list[LayoutsRecognised] = []
        self.layouts: Counter[str] = Counter()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progressed):
            self._emit(event)
        elif isinstance(event, Noted | Warned):
            self._notes.append(event)
        elif isinstance(event, LayoutsRecognised):  # a file is read: what was noted till now is about it
            for note in self._notes:
                self._emit(note)
            self._notes = []
            self.layouts.update(event.layouts)
            if len(event.layouts) > 1:
                self._mixed.append(event)

    def findings(self) -> Iterator[Finding]:
        """One for each file whose rows are laid out in several ways; of each rarer way, the first rows."""
        for event in self._mixed:
            counts = ", ".join(f"{rows:,} {layout}" for layout, rows in event.layouts.items())
            places = [place for first in event.where.values() for place in first]
            main, *others = event.layouts
            rows = sum(event.layouts[layout] for layout in others)
            laid = plural(rows, "row is", "rows are")
            first = "; the first of each" if rows > len(places) else ""
            message = f"{laid} laid out otherwise than the {main} of {event.file}: {counts}{first}"
            setting = "dataset.columns, or dataset.format: what has another layout is a bad row then; or two files"
            yield Finding("mixed_layouts", "warning", message, places, setting, (), rows)
