"""The header of a safetensors file, held against the file before anything believes it. Reads no tensor.

Format: 8 bytes of length (little-endian), so many bytes of JSON, then the tensors without a gap.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.errors import FurrowError

LONGEST = 16_000_000
"""Bytes of a header. A tensor takes about a hundred, so this is room for 160,000 of them in one file; the library
would take 100 MB, which make a gigabyte of Python."""
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a file holds: the shape of each tensor, by name; `parameters` counts their numbers one by one."""

    shapes: dict[str, tuple[int, ...]]
    bytes: int
    """Of the file."""

    @property
    def parameters(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())


def read_header(file: Path) -> Header:
    """Raises FurrowError, naming the file, for a header that is no header or that says anything else than the file."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(LONGEST, size - 8):
                raise ValueError(
                    f"a header of {length:,} bytes in a file of {size:,}: it is cut off, or no safetensors"
                )
            tensors = json.loads(stream.read(length), object_pairs_hook=_once)
        return Header(_shapes(tensors, size - 8 - length), size)
    except (ValueError, RecursionError) as error:
        raise FurrowError(
            f"no safetensors header: {error}", where=str(file), remedy="download or copy it again"
        ) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _shapes(tensors: Any, room: int) -> dict[str, tuple[int, ...]]:
    """Raises ValueError where the tensors do not fill the `room` bytes one after the other."""
    if not isinstance(tensors, dict):
        raise ValueError("it is no object")
    tensors.pop("__metadata__", None)
    places, shapes = [], {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, dict) or tensor.keys() != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"{name!r} is not described by dtype, shape and data_offsets")
        shape, offsets, bits = tensor["shape"], tensor["data_offsets"], _BITS.get(str(tensor["dtype"]))
        if bits is None or not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
            raise ValueError(f"{name!r} has a dtype, a shape or an offset that there is not")
        if offsets[1] - offsets[0] != -(-math.prod(shape) * bits // 8):
            raise ValueError(f"{name!r} has the shape {shape}, and another number of bytes")
        places.append(tuple(offsets))
        shapes[name] = tuple(shape)
    end = 0
    for first, last in sorted(places):
        if first != end:
            raise ValueError("tensors overlap, or leave a gap")
        end = last
    if end != room:
        raise ValueError(
            f"its tensors end after {end:,} bytes, the file holds {room:,} of them: it is cut off or damaged"
        )
    return shapes


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 60 for value in values)
