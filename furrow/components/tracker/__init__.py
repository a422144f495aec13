"""Slot `tracker`: a subscriber of the events that writes them somewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from furrow.components.events import Event


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker may know of the run besides its events."""

    folder: Path
    """The run folder. What a tracker keeps on this machine lies in it, where its library lets us say so: Trackio's has
    one place for all runs of a user."""
    project: str = "furrow"
    """Under which its runs stand together."""
    name: str = ""
    """What the run is called there."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The filled strategy, flat: `training_args.seed` -> 42. Holds no secrets."""


class Tracker(Protocol):
    """The factory takes the config and a `TrackedRun`.

    It may fail, at any time and in any way: the stage says so once, and the run goes on without it.
    """

    def __call__(self, event: Event) -> None:
        """Notes the event."""
        ...

    def close(self, *, failed: bool = False) -> None:
        """Whatever is buffered is written. `failed`: the run ended with an error, or was interrupted."""
        ...
