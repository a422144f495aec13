"""A folder that holds a model: whole weights, or an adapter together with the base it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from furrow.components.errors import RequestError

STRATEGY_FILE = "strategy.yaml"
"""The filled strategy that `train` saves beside the weights; whoever serves them finds the template there."""


@dataclass(frozen=True)
class ModelFolder:
    """`kind` tells what `path` holds; `base` is what `from_pretrained` takes for the base of an adapter."""

    path: Path
    kind: Literal["adapter", "weights"]
    base: str | None = None

    @property
    def tokenizer(self) -> str:
        """Where the tokenizer is: beside the weights, or with the base if the adapter brings none."""
        if (self.path / "tokenizer.json").is_file() or self.base is None:
            return str(self.path)
        return self.base


def recognise(path: Path) -> ModelFolder:
    """Tells an adapter from whole weights; a run folder means its `final_model`, a checkpoint its `model`.

    Raises RequestError if the folder holds no model, or an adapter that does not name its base.
    """
    path = Path(path)
    if not path.exists():
        raise RequestError(
            f"{path} does not exist", remedy="name a final_model, an adapter, a checkpoint or a merged folder"
        )
    for inner in (path, path / "final_model", path / "model"):
        if (inner / "adapter_config.json").is_file():
            return ModelFolder(inner, "adapter", _base_of(inner))
        if (inner / "config.json").is_file():
            return ModelFolder(inner, "weights")
    raise RequestError(
        f"{path} holds no model: neither config.json nor adapter_config.json is there",
        remedy="name a final_model, an adapter, a checkpoint or a merged folder",
    )


def _base_of(adapter: Path) -> str:
    from furrow.components.base_models import BUILT_IN

    try:
        settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    except ValueError as error:
        raise RequestError(f"{adapter}/adapter_config.json is damaged: {error}") from error
    base = settings.get("base_model_name_or_path")
    if not base:
        raise RequestError(f"{adapter}/adapter_config.json names no base model", remedy="add base_model_name_or_path")
    name = str(base).removeprefix("builtin:")
    return str(BUILT_IN[name]) if name in BUILT_IN and name != base else str(base)
