"""The tracker `jsonl`: every event as a line of `metrics.jsonl`, flushed at once, losses unrounded."""

from __future__ import annotations

from furrow.components.config import Config
from furrow.components.events import Event, json_line
from furrow.components.registry import Component
from furrow.components.tracker import TrackedRun


class JsonlConfig(Config):
    """It has no settings."""


class JsonlTracker:
    """Implements `Tracker`. Writes beside nothing: a line is whole or the last one."""

    def __init__(self, config: JsonlConfig, run: TrackedRun) -> None:
        self._file = (run.folder / "metrics.jsonl").open("a", encoding="utf-8")

    def __call__(self, event: Event) -> None:
        self._file.write(json_line(event) + "\n")
        self._file.flush()

    def close(self, *, failed: bool = False) -> None:
        self._file.close()


COMPONENT = Component(
    summary="every event as a line of metrics.jsonl",
    config=JsonlConfig,
    factory="furrow.components.tracker.jsonl:JsonlTracker",
)
