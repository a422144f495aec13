"""A model's folder on disk: are its files whole, how large is the model? Reads headers, loads no weights."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import FurrowError
from furrow.components.models.safetensors_header import read_header

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Any of these makes a tokenizer."""


@dataclass(frozen=True)
class Size:
    """Of the weights: `bytes` on disk, `parameters` one by one."""

    bytes: int
    parameters: int


def absent_files(folder: Path, *, weights: bool) -> list[str]:
    """What training would look for in vain."""
    absent = [] if (folder / "config.json").is_file() else ["config.json"]
    if not any((folder / name).is_file() for name in TOKENIZERS):
        absent.append("tokenizer.json")
    return absent + ([name for name in weight_files(folder) if not (folder / name).is_file()] if weights else [])


def weight_files(folder: Path) -> list[str]:
    """Names of the safetensors: those that the index lists, else the one file."""
    index = folder / INDEX
    if not index.is_file():
        return [WEIGHTS]
    return sorted(set(read_json(index).get("weight_map", {}).values()))


def size_of(folder: Path) -> Size:
    """Of all weights, whose files must be there. Raises FurrowError for one that is cut off or no safetensors."""
    headers = [read_header(folder / name) for name in weight_files(folder)]
    return Size(sum(header.bytes for header in headers), sum(header.parameters for header in headers))


def changed_files(folder: Path) -> list[str]:
    """Files whose sha256 is not the one in the folder's manifest.json (or that are gone); none without a manifest."""
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        return []
    sums = read_json(manifest)["sha256"]
    return [name for name, sha in sums.items() if not (folder / name).is_file() or sha256_of(folder / name) != sha]


def read_json(file: Path) -> dict[str, Any]:
    """A file that holds one object. Raises FurrowError for one that does not."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FurrowError(f"no JSON: {error}", where=str(file), remedy="download or copy it again") from error
    if not isinstance(found, dict):
        raise FurrowError("an object is wanted", where=str(file), remedy="download or copy it again")
    return found
