"""A folder that holds a model: whole weights, or an adapter together with the base it belongs to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from furrow.components.errors import RequestError
from furrow.components.models.inspection import inspect_adapter
from furrow.components.models.safetensors_header import read_header

STRATEGY_FILE = "strategy.yaml"
"""The filled strategy that `train` saves beside the weights; whoever serves them finds the template there."""
QUANTIZATION_FILE = "quantization.json"
"""Beside an adapter: how its base was quantised in training. PEFT's own files do not say it."""
_QUANTIZING = re.compile(r"dtype|load_in_[48]bit|bnb_4bit_\w+|llm_int8_\w+")
_DTYPES = ("float32", "float16", "bfloat16")
CLASSES_FILE = "classes.json"
"""Beside an adapter of a classifier: the list of its classes. PEFT's own files do not say them."""


@dataclass(frozen=True)
class ModelFolder:
    """`kind` tells what `path` holds; `base` is what `from_pretrained` takes for the base of an adapter."""

    path: Path
    kind: Literal["adapter", "weights"]
    base: str | None = None
    quantization: Mapping[str, Any] | None = None
    """How the base of an adapter was quantised in training: `dtype` before that, and settings of BitsAndBytesConfig."""
    labels: tuple[str, ...] | None = None
    """Of a model that scores texts instead of writing them: the names of its classes; one alone for a reward model."""

    @property
    def tokenizer(self) -> str:
        """Where the tokenizer is: beside the weights, or with the base if the adapter brings none."""
        if (self.path / "tokenizer.json").is_file() or self.base is None:
            return str(self.path)
        return self.base


def recognise(path: Path) -> ModelFolder:
    """Tells an adapter from whole weights; a run folder means its `final_model`, a checkpoint its `model`.

    Raises RequestError if the folder holds no model, or an adapter that does not name its base or is more than weights.
    """
    path = Path(path)
    if not path.exists():
        raise RequestError(
            f"{path} does not exist", remedy="name a final_model, an adapter, a checkpoint or a merged folder"
        )
    for inner in (path, path / "final_model", path / "model"):
        if (inner / "adapter_config.json").is_file():
            inspect_adapter(inner)
            return ModelFolder(
                inner, "adapter", _base_of(inner), _quantization_of(inner), labels=_labels_of_adapter(inner)
            )
        if (inner / "config.json").is_file():
            return ModelFolder(inner, "weights", labels=_labels_of_weights(inner))
    raise RequestError(
        f"{path} holds no model: neither config.json nor adapter_config.json is there",
        remedy="name a final_model, an adapter, a checkpoint or a merged folder",
    )


def _base_of(adapter: Path) -> str:
    from furrow.components.base_models import BUILT_IN

    base = _read(adapter / "adapter_config.json").get("base_model_name_or_path")
    if not base:
        raise RequestError(f"{adapter}/adapter_config.json names no base model", remedy="add base_model_name_or_path")
    name = str(base).removeprefix("builtin:")
    return str(BUILT_IN[name]) if name in BUILT_IN and name != base else str(base)


def _quantization_of(adapter: Path) -> Mapping[str, Any] | None:
    file = adapter / QUANTIZATION_FILE
    if not file.is_file():
        return None
    quantization = _read(file)
    if quantization.get("dtype") not in _DTYPES or not all(map(_QUANTIZING.fullmatch, quantization)):
        raise RequestError(f"{file} does not say how to quantise", remedy="copy the whole folder again")
    return quantization


def _labels_of_adapter(adapter: Path) -> tuple[str, ...] | None:
    """From the list beside it; where another program made the adapter, numbers as long as its head has rows."""
    if _read(adapter / "adapter_config.json").get("task_type") != "SEQ_CLS":
        return None
    file = adapter / CLASSES_FILE
    if file.is_file():
        return tuple(map(str, _read(file)["labels"]))
    shapes = read_header(adapter / "adapter_model.safetensors").shapes
    rows = [shape[0] for name, shape in shapes.items() if name.endswith(".score.weight") and shape]
    if not rows:
        raise RequestError(f"{adapter} is the adapter of a classifier and holds no head", remedy="train it again")
    return tuple(map(str, range(rows[0])))


def _labels_of_weights(folder: Path) -> tuple[str, ...] | None:
    config = _read(folder / "config.json")
    if not any(str(name).endswith("ForSequenceClassification") for name in config.get("architectures") or ()):
        return None
    names = config.get("id2label") or {"0": "0", "1": "1"}  # transformers writes two classes as nothing
    return tuple(str(names[number]) for number in sorted(names, key=int))


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise RequestError(f"{file} is damaged: {error}") from error
