"""The tracker `jsonl`: every event as a line of `metrics.jsonl`, flushed at once, losses unrounded."""

from __future__ import annotations

import os

from furrow.components.config import Config
from furrow.components.disk.storage import refusal, storing
from furrow.components.events import CheckpointSaved, Event, json_line
from furrow.components.registry import Component
from furrow.components.tracker import TrackedRun


class JsonlConfig(Config):
    """It has no settings."""


class JsonlTracker:
    """Implements `Tracker`. Writes beside nothing: a line is whole or the last one.

    What a full disk does not take waits in memory, and goes out before any later line: the file is the same in the end.
    """

    def __init__(self, config: JsonlConfig, run: TrackedRun) -> None:
        self._path = run.folder / "metrics.jsonl"
        self._waiting = bytearray()
        self._file: int | None = None
        self._try_to_write()

    def __call__(self, event: Event) -> None:
        self._waiting += json_line(event).encode() + b"\n"
        # What a checkpoint survives, the record up to there survives too.
        self._try_to_write(flush=isinstance(event, CheckpointSaved))

    def close(self, *, failed: bool = False) -> None:
        """Raises StorageError where lines are left that the disk does not take even now."""
        try:
            with storing(self._path, needed=len(self._waiting)):
                self._write()
        finally:
            if self._file is not None:
                os.close(self._file)

    def _try_to_write(self, *, flush: bool = False) -> None:
        try:
            self._write()
            if flush and self._file is not None:
                os.fsync(self._file)
        except OSError as error:
            if refusal(error, self._path) is None:
                raise

    def _write(self) -> None:
        if self._file is None:
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        while self._waiting:
            written = os.write(self._file, self._waiting)  # a disk that is almost full takes a part
            del self._waiting[:written]


COMPONENT = Component(
    summary="every event as a line of metrics.jsonl",
    config=JsonlConfig,
    factory="furrow.components.tracker.jsonl:JsonlTracker",
)
