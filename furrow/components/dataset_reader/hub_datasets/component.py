"""The reader `datasets`. Here, only its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from furrow.components.config import Config
from furrow.components.registry import Component

Name = Annotated[str, Field(min_length=1, max_length=200)]


class DatasetsConfig(Config):
    """Which rows of a data set of the hub, or of a folder that `save_to_disk` wrote. train_file names it: `owner/name`,
    or the folder. No program that comes with a data set is ever run."""

    name: Name | None = None
    """Which of its configurations, where it has several, e.g. `main` of openai/gsm8k."""
    split: Name = "train"
    """Which of its splits, e.g. `train` or `test`."""
    revision: Name | None = None
    """Branch, tag or commit. Default: the main branch; which commit it was stands in the manifest."""
    streaming: bool = True
    """Read rows as they come, and keep none of its files; false downloads them into the cache of `datasets`
    first."""
    columns: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Columns to read, e.g. [prompt, completion]. Default: all."""


COMPONENT = Component(
    summary="a data set of the hub, or a folder of save_to_disk, by the library datasets",
    config=DatasetsConfig,
    factory="furrow.components.dataset_reader.hub_datasets.reader:HubDatasets",
    requires=("datasets",),
    extra="datasets",
)
