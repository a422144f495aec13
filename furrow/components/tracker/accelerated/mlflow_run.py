"""MLflow, on the server that the environment names, or in a database of the run's own."""

from __future__ import annotations

import logging
import os

import mlflow
from accelerate.tracking import MLflowTracker

from furrow.components.tracker import TrackedRun, Tracker
from furrow.components.tracker.accelerated.component import MlflowConfig
from furrow.components.tracker.accelerated.tracker import AccelerateTracker


def make(config: MlflowConfig, run: TrackedRun) -> Tracker:
    logging.getLogger("mlflow").setLevel(logging.WARNING)  # else it reports how it makes its tables
    address, artifacts = config.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"), None
    if address is None:
        folder = run.folder.absolute() / "mlflow"
        folder.mkdir(exist_ok=True)
        # A folder of files is what MLflow refuses since version 3; a database is one file.
        address, artifacts = f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri()
    mlflow.set_tracking_uri(address)
    service = MLflowTracker(run.project, logging_dir=artifacts, run_name=run.name)
    return AccelerateTracker(service, run.settings, fail=lambda: mlflow.end_run("FAILED"))
