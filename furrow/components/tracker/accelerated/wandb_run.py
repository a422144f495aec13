"""Weights & Biases, quiet: it prints nothing and keeps its hands off the terminal's output."""

from __future__ import annotations

import wandb
from accelerate.tracking import WandBTracker

from furrow.components.tracker import TrackedRun, Tracker
from furrow.components.tracker.accelerated.component import WandbConfig
from furrow.components.tracker.accelerated.tracker import AccelerateTracker


def make(config: WandbConfig, run: TrackedRun) -> Tracker:
    service = WandBTracker(
        run.project,
        name=run.name,
        dir=str(run.folder),
        entity=config.entity,
        tags=list(config.tags),
        mode="offline" if config.offline else None,
        settings=wandb.Settings(console="off", silent=True),
    )
    return AccelerateTracker(service, run.settings, fail=lambda: service.run.finish(exit_code=1))
