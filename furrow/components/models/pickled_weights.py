"""Weights in pickles (`.bin`) written out as safetensors, numbers and no more: the one place where a pickle is opened.

Only on the operator's word. torch reads it with `weights_only`, which builds tensors and calls nothing that the file
names, whatever TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD says; and its archive is held against the file before.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePath

import torch
from safetensors.torch import save_file

from furrow.components.errors import FurrowError, RequestError

_NAMES = {"pytorch_model": "model", "adapter_model": "adapter_model"}
"""What the files are called before their suffix -> what they are called as safetensors."""
_INDEX = "pytorch_model.bin.index.json"
_BESIDE = (".json", ".jinja", ".txt", ".model", ".yaml", ".md")
"""What of the folder comes along."""
_LARGEST_PROGRAM = 64_000_000
"""Bytes of the pickle itself, without the numbers: a hundred thousand tensors take a tenth."""


def unpickled(folder: Path, into: Path) -> None:
    """The model or adapter in `folder` again in `into`, which exists, its weights as safetensors.

    Raises RequestError where there are none in pickles, FurrowError where one is anything but a table of tensors.
    """
    files = sorted(file for name in _NAMES for file in folder.glob(f"{name}*.bin") if file.is_file())
    if not files:
        raise RequestError(
            f"{folder} holds no weights in pickles: neither pytorch_model.bin nor adapter_model.bin is there",
            remedy="the other formats read safetensors as they are",
        )
    for file in files:
        save_file(_tensors(file), into / _renamed(file.name), metadata={"format": "pt"})
    for file in folder.iterdir():
        if file.is_file() and file.suffix in _BESIDE and file.name != _INDEX:
            shutil.copyfile(file, into / file.name)
    if (folder / _INDEX).is_file():
        places = {name: _renamed(PurePath(file.name).name) for file in files for name in _tensors(file)}
        index = json.dumps({"metadata": {}, "weight_map": places}, indent=1)
        (into / "model.safetensors.index.json").write_text(index + "\n", encoding="utf-8")


def _renamed(name: str) -> str:
    stem = name.removesuffix(".bin")
    known = next(known for known in _NAMES if stem.startswith(known))
    return f"{_NAMES[known]}{stem.removeprefix(known)}.safetensors"


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    size = file.stat().st_size
    try:
        _verify_archive(file)
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except FurrowError:
        raise
    except Exception as error:  # torch raises what its parts do: UnpicklingError, RuntimeError, EOFError, KeyError …
        reason = " ".join(str(error).split())[:200]
        raise FurrowError(f"it is no table of tensors and nothing else: {reason}", where=str(file)) from error
    if not isinstance(found, Mapping) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise FurrowError("it is no table of tensors", where=str(file))
    for name, value in found.items():
        if value.layout is not torch.strided or value.numel() * value.element_size() > size:
            raise FurrowError(f"the tensor {name} claims to be larger than the file", where=str(file))
    if (
        sum(value.numel() * value.element_size() for value in found.values()) > 4 * size
    ):  # tied weights stand in it twice
        raise FurrowError("its tensors claim to be larger than the file", where=str(file))
    return {str(name): value.clone(memory_format=torch.contiguous_format) for name, value in found.items()}


def _verify_archive(file: Path) -> None:
    """Raises FurrowError for an archive that is another one than `torch.save` writes, or that unpacks to more."""
    if not zipfile.is_zipfile(file):
        raise FurrowError(
            "it is in the form of PyTorch before 1.6, which is not read",
            where=str(file),
            remedy="load and save it again with a newer PyTorch, where it was made",
        )
    with zipfile.ZipFile(file) as archive:
        records = archive.infolist()
    large = [record for record in records if record.filename.endswith(".pkl") and record.file_size > _LARGEST_PROGRAM]
    if large or any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise FurrowError("it is no archive as torch.save writes it: it unpacks to more than it holds", where=str(file))
