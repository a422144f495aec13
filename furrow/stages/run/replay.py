"""What a run noted in metrics.jsonl, as the events that they were: for those who go on where they had been."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from furrow.components.events import Event, event_name


def replayed(metrics: Path) -> list[Event]:
    """Every event of the file, in order. What this version does not know (a line, an event, a field) is left out."""
    kinds = {event_name(kind): kind for kind in Event.__subclasses__()}
    found = []
    for line in metrics.read_text(encoding="utf-8").splitlines() if metrics.is_file() else ():
        try:
            record = json.loads(line)
            kind = kinds[record["event"]]
            known = {field.name for field in dataclasses.fields(kind)}
            found.append(kind(**{name: _number(value) for name, value in record.items() if name in known}))
        except (ValueError, KeyError, TypeError):
            continue
    return found


def _number(value: Any) -> Any:
    """JSON has no infinity: `json_line` writes such numbers as text."""
    return float(value) if value in ("inf", "-inf", "nan") else value
