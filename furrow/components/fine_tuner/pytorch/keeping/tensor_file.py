"""Tensors as a safetensors file, written here so that they are hashed on their way, and no copy of them is made.

Format: https://github.com/huggingface/safetensors#format: the length of the header, the header (JSON), the numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from furrow.components.disk.hashing import Hashing

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], hashing: Hashing) -> None:
    """Tensors of the CPU, which nobody may change until `hashing` has their sum. Two may share their memory."""
    pieces = _pieces(tensors)
    hashing.writing(path, pieces)
    with path.open("wb", buffering=1 << 20) as file:
        for piece in pieces:
            file.write(piece)


def _pieces(tensors: Mapping[str, torch.Tensor]) -> list[bytes | memoryview]:
    """The file. The widest numbers come first, so that each tensor begins at a multiple of its own width."""
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {}
    end = 0
    for name in order:
        tensor, begin = tensors[name], end
        end += tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *(_bytes(tensors[name]) for name in order)]


def _bytes(tensor: torch.Tensor) -> memoryview:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
