"""The page beside the file: what it was made from, what it holds, and how well it agrees."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import furrow
from furrow.components.disk.hashing import sha256_of
from furrow.components.exporter.gguf.quantize import tensor_types
from furrow.components.exporter.merged.agreement import Agreement
from furrow.components.models.folder import ModelFolder

_PACKAGES = ("gguf", "llama-cpp-python", "torch", "transformers")


def manifest_path(path: Path) -> Path:
    """`model-q8_0.gguf` -> `model-q8_0.gguf.json`."""
    return path.with_name(path.name + ".json")


def write_manifest(
    into: Path, path: Path, source: ModelFolder, quantization: str, agreements: dict[str, Agreement]
) -> None:
    """About the file `path`, which has the name already that it will be published under; `agreements` by the name of
    the file type that was compared."""
    content: dict[str, Any] = {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": sha256_of(path),
        "quantization": quantization,
        "tensor_types": tensor_types(path),
        "source": {"path": str(source.path), "kind": source.kind, "base": source.base},
        "agreement": {name: dataclasses.asdict(measured) for name, measured in agreements.items()},
        "versions": {"furrow": furrow.__version__} | {name: importlib.metadata.version(name) for name in _PACKAGES},
    }
    into.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
