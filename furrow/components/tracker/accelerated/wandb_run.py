"""Weights & Biases, quiet: it prints nothing, keeps its hands off the terminal's output, and is told what the run says
and nothing of the machine: no command line, no code, no packages."""

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
        settings=wandb.Settings(
            console="off",
            silent=True,
            x_disable_meta=True,  # it holds the command line, and that may hold what no file should
            x_disable_machine_info=True,
            x_save_requirements=False,
            disable_git=True,
            disable_code=True,
        ),
    )
    return AccelerateTracker(service, run.settings, fail=lambda: service.run.finish(exit_code=1))
