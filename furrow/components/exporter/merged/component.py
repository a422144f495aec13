"""What the table's row `exporter: merged` points at."""

from __future__ import annotations

from typing import Literal

from furrow.components.config import Config
from furrow.components.registry import Component


class MergedConfig(Config):
    """Settings of the exporter `merged`."""

    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "float32"
    """Number type of the weights written. float32 loses nothing; auto keeps the type of the base model's weights."""


COMPONENT = Component(
    summary="one folder of whole weights (safetensors) with tokenizer and chat template",
    config=MergedConfig,
    factory="furrow.components.exporter.merged.export:MergedExporter",
    requires=("torch", "transformers", "peft", "safetensors"),
)
