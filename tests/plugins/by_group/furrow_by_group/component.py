"""A splitter that keeps rows which belong together on one side. Here, only its settings."""

from typing import Annotated

from pydantic import Field

from furrow.components.config import Config
from furrow.components.registry import Component


class ByGroupConfig(Config):
    """Which rows belong together."""

    column: Annotated[str, Field(min_length=1)]
    """Rows with the same value in this column stay together, e.g. `patient` or `source`."""
    seed: Annotated[int, Field(ge=0)] = 42
    """Another seed chooses other groups to evaluate on."""


COMPONENT = Component(
    summary="keeps rows with the same value in a column on one side of the split",
    config=ByGroupConfig,
    factory="furrow_by_group.splitter:ByGroup",
)
