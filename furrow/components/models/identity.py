"""Which model a folder holds, in a few hundred characters, so that a later run can tell whether it is still that one.

What is compared: config.json, the tokenizer's files, names, types and shapes of all tensors, and of each tensor three
places of at most 4 KiB (its beginning, middle and end; less where a model has very many tensors). Training changes
nearly every number of the tensors that it changes, so that another version of a model is told from this one; a single
changed number elsewhere is not. All of a model is not hashed, for that takes 10 s a 7 B model, at every start: this
takes 0.1 s. How tensors are cut into files, and where the folder lies, makes no difference.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from furrow.components.base_models import BaseModelConfig, source_of
from furrow.components.models.safetensors_header import read_header

PLACE = 4096
"""Bytes read at one place of a tensor."""
MOST = 1 << 26
"""Bytes read of a model in all: of a mixture with 20,000 tensors, 1 KiB a place."""
_SAYS_NOTHING = ("transformers_version", "_name_or_path", "torch_dtype", "dtype")
"""Keys of config.json that follow from who saved it; types are compared tensor by tensor."""
_TOKENIZER = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "chat_template.jinja",
)  # fmt: skip
_INDEX = "model.safetensors.index.json"


def folder_of(config: BaseModelConfig) -> Path | None:
    """Where the model lies; None for one of the hub that is not in the cache. Asks nobody."""
    if config.huggingface_id is None:
        return Path(source_of(config))
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(config.huggingface_id, "config.json")
    return Path(found).parent if isinstance(found, str) else None


def identity(folder: Path, *, weights: bool = True) -> dict[str, Any] | None:
    """`shape` (names and shapes of the tensors, or what config.json says of a model without any), `weights`, `config`
    and `tokenizer`: a short digest each. None where a file of the weights is not there (yet).

    Raises FurrowError for a file that is damaged.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    said = {name: value for name, value in config.items() if name not in _SAYS_NOTHING}
    found = {"config": _short(json.dumps(said, sort_keys=True).encode()), "tokenizer": _tokenizer(folder)}
    if not weights:
        return {"shape": found["config"], "weights": None, **found}
    files = [folder / name for name in _weight_files(folder)]
    if not all(file.is_file() for file in files):
        return None
    tensors = dict(_tensors(files))
    shapes = {name: shape for name, (_, shape, _) in tensors.items()}
    digest = {name: (kind, print_) for name, (kind, _, print_) in tensors.items()}
    whole = (_short(json.dumps(each, sort_keys=True).encode()) for each in (shapes, digest))
    return {"shape": next(whole), "weights": next(whole), **found}


def _weight_files(folder: Path) -> list[str]:
    index = folder / _INDEX
    if index.is_file():
        return sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    return ["model.safetensors"]


def _tokenizer(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in _TOKENIZER:
        if (folder / name).is_file():
            digest.update(f"{name}\n".encode() + (folder / name).read_bytes())
    return digest.hexdigest()[:32]


def _tensors(files: list[Path]) -> Iterator[tuple[str, tuple[str, list[int], str]]]:
    """name, (type, shape, digest of its places)."""
    headers = [_header(file) for file in files]
    tensors = sum(len(header) for _, header in headers)
    place = max(64, min(PLACE, MOST // (3 * max(tensors, 1))))
    for file, (start, header) in zip(files, headers, strict=True):
        with file.open("rb") as stream:
            for name, tensor in header.items():
                first, last = tensor["data_offsets"]
                digest = hashlib.sha256()
                for at in (first, (first + last) // 2, max(first, last - place)):
                    digest.update(os.pread(stream.fileno(), min(place, last - at), start + at))
                yield name, (tensor["dtype"], tensor["shape"], digest.hexdigest()[:16])


def _header(file: Path) -> tuple[int, dict[str, Any]]:
    """(where the tensors begin, what stands there of each)."""
    read_header(file)  # holds it against the file
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    header.pop("__metadata__", None)
    return 8 + length, header


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
