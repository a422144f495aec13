"""Slot `tracker`: a subscriber of the events that writes them somewhere."""

from __future__ import annotations

from typing import Protocol

from furrow.components.events import Event


class Tracker(Protocol):
    """The factory takes the config and the run folder."""

    def __call__(self, event: Event) -> None:
        """Notes the event."""
        ...

    def close(self) -> None:
        """Whatever is buffered is written."""
        ...
