"""Comet, told to send what the run says and nothing of the machine: no code, no packages, no output."""

from __future__ import annotations

import logging

import comet_ml
from accelerate.tracking import CometMLTracker

from furrow.components.tracker import TrackedRun, Tracker
from furrow.components.tracker.accelerated.component import CometConfig
from furrow.components.tracker.accelerated.tracker import AccelerateTracker


def make(config: CometConfig, run: TrackedRun) -> Tracker:
    logging.getLogger("comet_ml").setLevel(logging.ERROR)
    settings = comet_ml.ExperimentConfig(
        name=run.name,
        tags=list(config.tags),
        offline_directory=str(run.folder / "comet"),
        log_code=False,
        log_graph=False,
        log_git_metadata=False,
        log_git_patch=False,
        log_env_details=False,
        parse_args=False,
        auto_output_logging=False,
        auto_param_logging=False,
        auto_metric_logging=False,
        auto_log_co2=False,
        display_summary_level=0,
    )
    more = {"workspace": config.workspace} if config.workspace else {}
    service = CometMLTracker(run.project, online=not config.offline, experiment_config=settings, **more)

    def fail() -> None:
        service.writer.add_tag("failed")  # an experiment that ends in order has no other sign of it
        service.finish()

    return AccelerateTracker(service, run.settings, fail)
