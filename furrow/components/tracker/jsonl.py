"""The tracker `jsonl`: every event as a line of `metrics.jsonl`, flushed at once, losses unrounded."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from furrow.components.config import Config
from furrow.components.events import Event, record
from furrow.components.registry import Component


class JsonlConfig(Config):
    """It has no settings."""


class JsonlTracker:
    """Implements `Tracker`. Writes beside nothing: a line is whole or the last one."""

    def __init__(self, config: JsonlConfig, folder: Path) -> None:
        self._file = (folder / "metrics.jsonl").open("a", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        self._file.write(json.dumps(_valid(record(event)), allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _valid(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON has no infinity, yet fp16's first gradient norms overflow: such a number becomes the text 'inf' or 'nan'."""
    return {
        name: str(value) if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }


COMPONENT = Component(
    summary="every event as a line of metrics.jsonl",
    config=JsonlConfig,
    factory="furrow.components.tracker.jsonl:JsonlTracker",
)
