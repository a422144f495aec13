"""The trackers that speak to a service: wandb, mlflow, comet, trackio. Here, only their settings.

What they have in common (the project, the name of the run) is said once, in `monitoring`.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import field_validator

from furrow.components.config import Config
from furrow.components.registry import Component

_FACTORIES = "furrow.components.tracker.accelerated"


class WandbConfig(Config):
    """Weights & Biases. The key comes from `wandb login` or WANDB_API_KEY, never from a strategy."""

    entity: str | None = None
    """User or team that owns the project. Default: the one of the key."""
    tags: tuple[str, ...] = ()
    """Words to find the run by."""
    offline: bool = False
    """Write into the folder `wandb` of the run and send nothing; `wandb sync` sends it later. WANDB_MODE=offline does
    the same."""


class MlflowConfig(Config):
    """MLflow."""

    tracking_uri: str | None = None
    """Server or database. Default: MLFLOW_TRACKING_URI, else the file `mlflow/mlflow.db` of the run, which
    `mlflow ui --backend-store-uri sqlite:///<run>/mlflow/mlflow.db` shows. A user and a password
    come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, never from a strategy."""

    @field_validator("tracking_uri")
    @classmethod
    def _holds_no_password(cls, given: str | None) -> str | None:
        if given is not None and "@" in urlsplit(given).netloc:
            raise ValueError(
                "a strategy holds no secrets, and who asks stands before the @ here; say it in "
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the whole address in MLFLOW_TRACKING_URI"
            )
        return given


class CometConfig(Config):
    """Comet. The key comes from `comet login` or COMET_API_KEY, never from a strategy."""

    workspace: str | None = None
    """Who owns the project. Default: the one of the key."""
    tags: tuple[str, ...] = ()
    """Words to find the run by."""
    offline: bool = False
    """Write an archive into the folder `comet` of the run and send nothing; `comet upload` sends it later."""


class TrackioConfig(Config):
    """Trackio. Without a space it keeps everything on this machine, where `trackio show` shows it."""

    space_id: str | None = None
    """Space on the hub to send to, `user/name`. Default: none, nothing is sent."""


WANDB = Component(
    summary="figures of the run to Weights & Biases",
    config=WandbConfig,
    factory=f"{_FACTORIES}.wandb_run:make",
    requires=("accelerate", "wandb"),
    extra="wandb",
)
MLFLOW = Component(
    summary="figures of the run to MLflow",
    config=MlflowConfig,
    factory=f"{_FACTORIES}.mlflow_run:make",
    requires=("accelerate", "mlflow"),
    extra="mlflow",
)
COMET = Component(
    summary="figures of the run to Comet",
    config=CometConfig,
    factory=f"{_FACTORIES}.comet_run:make",
    requires=("accelerate", "comet-ml"),
    extra="comet",
)
TRACKIO = Component(
    summary="figures of the run to Trackio",
    config=TrackioConfig,
    factory=f"{_FACTORIES}.trackio_run:make",
    requires=("accelerate", "trackio"),
    extra="trackio",
)
