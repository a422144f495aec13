"""The safetensors of a model folder, read one tensor at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from furrow.components.errors import FurrowError
from furrow.components.models.inspection import inspect_model

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Weights:
    """All tensors of `model.safetensors` or of the shards its index names. Holds no tensor; files are memory-mapped."""

    def __init__(self, folder: Path) -> None:
        """Raises FurrowError if the folder holds no safetensors, or such as are not to be trusted."""
        inspect_model(str(folder))
        self.folder = folder
        self._file_of = _files(folder)
        self._open: dict[str, Any] = {}

    @property
    def names(self) -> list[str]:
        return list(self._file_of)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._handle(name).get_slice(name).get_shape())

    def dtype(self, name: str) -> torch.dtype:
        """Raises FurrowError for weights that are not plain numbers (already quantised ones)."""
        stored = self._handle(name).get_slice(name).get_dtype()
        if stored not in _DTYPES:
            raise FurrowError(
                f"the tensor {name} is stored as {stored}; only {', '.join(_DTYPES)} can be converted",
                where=str(self.folder),
                remedy="start from the weights before quantisation",
            )
        return _DTYPES[stored]

    def load(self, name: str) -> torch.Tensor:
        """The tensor as it is stored."""
        return self._handle(name).get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self._file_of

    def _handle(self, name: str) -> Any:
        file = self._file_of[name]
        if file not in self._open:
            self._open[file] = safe_open(self.folder / file, framework="pt")
        return self._open[file]


def _files(folder: Path) -> dict[str, str]:
    """Tensor name -> file name, in the order of the files."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return dict(json.loads(index.read_text())["weight_map"])
    single = folder / "model.safetensors"
    if not single.is_file():
        raise FurrowError(
            f"{folder} holds no model.safetensors", remedy="save the model with save_pretrained (safetensors)"
        )
    with safe_open(single, framework="pt") as file:
        return dict.fromkeys(file.keys(), single.name)
