"""The reader `parquet`. Here, only its settings."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from furrow.components.config import Config
from furrow.components.registry import Component


class ParquetConfig(Config):
    """What is read of the table. Dates and decimals become text; a value that JSON does not have makes its row a bad
    one."""

    columns: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Columns to read, e.g. [prompt, completion]; fewer are read faster. Default: all."""


COMPONENT = Component(
    summary="a Parquet table (.parquet)",
    config=ParquetConfig,
    factory="furrow.components.dataset_reader.parquet.reader:ParquetTable",
    requires=("pyarrow",),
    extra="parquet",
)
