"""Trackio, without watching the machine beside the run."""

from __future__ import annotations

import trackio
from accelerate.tracking import TrackioTracker

from furrow.components.tracker import TrackedRun, Tracker
from furrow.components.tracker.accelerated.component import TrackioConfig
from furrow.components.tracker.accelerated.tracker import AccelerateTracker


class _EndsOnce(TrackioTracker):  # type: ignore[misc]
    """accelerate ends the run and leaves it open, so that Trackio ends it again when the process does, and prints."""

    def finish(self) -> None:
        trackio.finish()


def make(config: TrackioConfig, run: TrackedRun) -> Tracker:
    more = {"space_id": config.space_id} if config.space_id else {}
    service = _EndsOnce(run.project, name=run.name, auto_log_cpu=False, auto_log_gpu=False, **more)
    return AccelerateTracker(service, run.settings)
