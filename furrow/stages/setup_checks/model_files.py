"""A model's folder on disk: are its files whole, how large is the model? Reads headers, loads no weights."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.errors import FurrowError
from furrow.components.publish import sha256_of

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
"""Any of these makes a tokenizer."""
_LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library."""


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
    counts = [(folder / name, *_read_header(folder / name)) for name in weight_files(folder)]
    for file, _, wanted in counts:
        if file.stat().st_size != wanted:
            raise FurrowError(
                f"the file has {file.stat().st_size:,} bytes, its header says {wanted:,}: it is cut off or damaged",
                where=str(file),
                remedy="download or copy it again",
            )
    return Size(sum(wanted for _, _, wanted in counts), sum(parameters for _, parameters, _ in counts))


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


def _read_header(file: Path) -> tuple[int, int]:
    """(parameters, bytes that the file ought to have): 8 bytes of length, a JSON header, the tensors."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length:,} bytes")
            tensors = json.loads(stream.read(length))
        tensors.pop("__metadata__", None)
        parameters = sum(math.prod(tensor["shape"]) for tensor in tensors.values())
        return parameters, 8 + length + max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise FurrowError(
            f"no safetensors header: {error}", where=str(file), remedy="download or copy it again"
        ) from error
