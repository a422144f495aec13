"""The page beside the file: what it was made from, what it holds, and how well it agrees."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
from pathlib import Path
from typing import Any

import furrow
from furrow.components.exporter.gguf.quantize import tensor_types
from furrow.components.exporter.merged.agreement import Agreement
from furrow.components.model_folder import ModelFolder
from furrow.components.publish import publish_text, sha256_of

_PACKAGES = ("gguf", "llama-cpp-python", "torch", "transformers")


def manifest_path(path: Path) -> Path:
    """`model-q8_0.gguf` -> `model-q8_0.gguf.json`."""
    return path.with_name(path.name + ".json")


def publish_manifest(path: Path, source: ModelFolder, quantization: str, agreements: dict[str, Agreement]) -> None:
    """Write it beside the published file; `agreements` by the name of the file type that was compared."""
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
    publish_text(manifest_path(path), json.dumps(content, indent=2) + "\n")
