"""The header of a GGUF file, held against the file before any reader sees it: the reader of the library `gguf` runs for
ever over 165 bytes that claim a long array, and llama.cpp aborts the process over numbers that it has no room for.

Layout (little-endian): magic, version, counts of tensors and of keys; keys with typed values; name, shape, type and
offset of each tensor; the tensors, aligned. Source: ggml's docs/gguf.md, versions 2 and 3. Reads no tensor.
"""

from __future__ import annotations

import functools
import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from furrow.components.errors import FurrowError

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Number of a type of value -> what `struct` calls it."""
_STRING, _ARRAY = 8, 9
_MOST_KEYS, _MOST_TENSORS, _LONGEST_NAME = 10_000, 100_000, 65_535
"""Models have about 30 keys and at most a few thousand tensors."""
_MOST_TEXTS = 10_000_000
"""Texts and arrays in arrays, all together; the largest vocabularies have a million with their merges."""
_DEEPEST = 2
"""Arrays in arrays: there are none in models."""
_MOST_DIMENSIONS = 4
_TOKENS = "tokenizer.ggml.tokens"
_LIMITS = {
    "block_count": (1, 512), "expert_count": (0, 512), "expert_used_count": (0, 512),
    "attention.head_count": (0, 1 << 16), "attention.head_count_kv": (0, 1 << 16),
    "embedding_length": (1, 1 << 24), "context_length": (1, 1 << 31),
}  # fmt: skip
"""Keys after the name of the architecture: what llama.cpp has room for (512 layers and experts, else it aborts) and
what it can divide by. Of no heads it says that it does not load them, except where there are none (Mamba)."""
_UNUSED = "tokenizer.ggml.padding_token_id"
"""llama.cpp goes without one that is no token of the vocabulary; converters write the vocabulary's size there."""


@dataclass(frozen=True)
class Value:
    """`value` of a number or text, None of an array; `count` and `kind` of what an array holds."""

    kind: int
    value: Any = None
    count: int | None = None


@dataclass(frozen=True)
class GgufHeader:
    """What a file says of itself, and could be true."""

    values: dict[str, Value]
    shapes: dict[str, tuple[int, ...]]

    def number(self, key: str) -> int | None:
        """The whole number of that key; None where it has none."""
        found = self.values.get(key)
        return found.value if found is not None and type(found.value) is int else None


def read_gguf_header(path: Path) -> GgufHeader:
    """Raises FurrowError, naming the file, for anything that is not a whole GGUF file of version 2 or 3."""
    try:
        with path.open("rb") as file:
            if path.stat().st_size < 24:
                raise _Wrong("it is too short")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data).header()
    except (_Wrong, UnicodeDecodeError) as error:
        raise FurrowError(f"no whole GGUF file: {error}", where=str(path), remedy="make or download it again") from None


class _Wrong(Exception):
    """What is wrong with the file."""


class _Reader:
    """Goes through the file once; never beyond its end."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._size, self._at, self._texts = data, len(data), 0, 0

    def header(self) -> GgufHeader:
        if self._bytes(4) != _MAGIC:
            raise _Wrong("it does not begin with GGUF")
        version = self._number("I")
        if version not in _VERSIONS:
            raise _Wrong(f"version {version}" + (" (or of the other byte order)" if version & 0xFFFF == 0 else ""))
        tensors, keys = self._number("Q"), self._number("Q")
        # the shortest key takes 14 bytes, the shortest tensor 33
        if keys > min(_MOST_KEYS, self._left // 14) or tensors > min(_MOST_TENSORS, self._left // 33):
            raise _Wrong(f"{keys:,} keys and {tensors:,} tensors in {self._size:,} bytes")
        values = self._once(self._key() for _ in range(keys))
        infos = self._once((self._text(_LONGEST_NAME), self._tensor()) for _ in range(tensors))
        _verify_vocabulary(values)
        self._verify_places(infos, values)
        return GgufHeader(values, {name: shape for name, (shape, _, _) in infos.items()})

    @property
    def _left(self) -> int:
        return self._size - self._at

    def _once(self, pairs: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise _Wrong(f"{name[:60]!r} stands in it twice")
            found[name] = value
        return found

    def _skip(self, count: int) -> int:
        """Where those bytes begin."""
        if count > self._left:
            raise _Wrong(f"{count:,} bytes are wanted at {self._at:,} of {self._size:,}")
        self._at += count
        return self._at - count

    def _bytes(self, count: int) -> bytes:
        begin = self._skip(count)
        return self._data[begin : begin + count]

    def _number(self, kind: str) -> Any:
        return struct.unpack_from(f"<{kind}", self._data, self._skip(struct.calcsize(f"<{kind}")))[0]

    def _text(self, longest: int) -> str:
        length = self._number("Q")
        if length > longest:
            raise _Wrong(f"a name of {length:,} bytes")
        return self._bytes(length).decode()

    def _key(self) -> tuple[str, Value]:
        name, kind = self._text(_LONGEST_NAME), self._number("I")
        if name != _TOKENS or kind != _ARRAY:
            return name, self._value(kind)
        begin = self._at
        value = self._value(kind)
        if value.kind == _STRING and value.count is not None:
            self._refuse_equal_texts(begin + 12, value.count)
        return name, value

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            length = self._number("Q")
            begin = self._skip(length)
            return Value(kind, self._data[begin : begin + min(length, 1000)].decode(errors="replace"))
        if kind == _ARRAY:
            held = self._number("I")
            return Value(held, count=self._array(held, 1))
        if kind not in _SCALARS:
            raise _Wrong(f"a value of type {kind}, which there is not")
        return Value(kind, self._number(_SCALARS[kind]))

    def _array(self, kind: int, depth: int) -> int:
        """Passes over it; how much it holds."""
        count = self._number("Q")
        if kind in _SCALARS:
            self._skip(count * struct.calcsize(f"<{_SCALARS[kind]}"))
            return count
        if kind not in (_STRING, _ARRAY) or depth > _DEEPEST:
            raise _Wrong(f"an array of type {kind}, which there is not" if depth <= _DEEPEST else "arrays in arrays")
        self._texts += count
        if self._texts > min(_MOST_TEXTS, self._size // 8):
            raise _Wrong(f"an array of {count:,} in {self._size:,} bytes")
        if kind == _ARRAY:
            for _ in range(count):
                self._array(self._number("I"), depth + 1)
            return count
        at, size, data, length_at = self._at, self._size, self._data, struct.Struct("<Q").unpack_from
        for _ in range(count):  # without a call of its own for each: there may be a million
            if at + 8 > size:
                raise _Wrong(f"a text is wanted at {at:,} of {size:,}")
            at += 8 + length_at(data, at)[0]
        self._at = 0
        self._skip(at)
        return count

    def _refuse_equal_texts(self, at: int, count: int) -> None:
        """llama.cpp aborts where two tokens have one text; those without one it calls `[EMPTY_<number>]`."""
        data, length_at, found = self._data, struct.Struct("<Q").unpack_from, set()
        for number in range(count):
            end = at + 8 + length_at(data, at)[0]
            found.add(data[at + 8 : end] or b"[EMPTY_%d]" % number)
            at = end
        if len(found) < count:
            raise _Wrong(f"{count - len(found):,} tokens have the text of another")

    def _tensor(self) -> tuple[tuple[int, ...], int, int]:
        """Shape, bytes, offset."""
        dimensions = self._number("I")
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise _Wrong(f"a tensor of {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        kind, offset = self._number("I"), self._number("Q")
        if kind not in _types():
            raise _Wrong(f"a tensor of type {kind}, which there is not")
        block, size = _types()[kind]
        if 0 in shape or math.prod(shape) >= 1 << 62 or shape[0] % block:
            raise _Wrong(f"a tensor of the shape {shape}")
        return shape, math.prod(shape) // block * size, offset

    def _verify_places(self, infos: dict[str, tuple[tuple[int, ...], int, int]], values: dict[str, Value]) -> None:
        alignment = values["general.alignment"].value if "general.alignment" in values else 32
        if type(alignment) is not int or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
            raise _Wrong(f"an alignment of {alignment}")
        begin = -(-self._at // alignment) * alignment
        end = 0
        for name, (_, size, offset) in sorted(infos.items(), key=lambda item: item[1][2]):
            if offset % alignment or offset < end or begin + offset + size > self._size:
                raise _Wrong(
                    f"the tensor {name[:60]!r} of {size:,} bytes cannot be at {begin + offset:,} of {self._size:,}"
                )
            end = offset + size


@functools.cache
def _types() -> dict[int, tuple[int, int]]:
    """Number of a tensor's type -> how many numbers a block holds, and its bytes."""
    from gguf.constants import GGML_QUANT_SIZES

    return {int(kind): (int(block), int(size)) for kind, (block, size) in GGML_QUANT_SIZES.items()}


def _verify_vocabulary(values: dict[str, Value]) -> None:
    """llama.cpp reads as many scores and types as there are tokens, and looks up the ids, without asking how many there
    are; it aborts where it has no room for the layers."""
    tokens = values.get(_TOKENS)
    count = tokens.count if tokens is not None and tokens.kind == _STRING else None
    if tokens is not None and count is None:
        raise _Wrong(f"{_TOKENS} holds no texts")
    for key, kind in (("scores", 6), ("token_type", 5)):
        found = values.get(f"tokenizer.ggml.{key}")
        if found is not None and (found.kind, found.count) != (kind, count):
            raise _Wrong(f"tokenizer.ggml.{key} is not one number for each of the {count} tokens")
    for key, value in values.items():
        is_token = key.startswith("tokenizer.ggml.") and key.endswith("token_id") and key != _UNUSED
        if is_token and not _is_count(value, 0, (count or 0) - 1):
            raise _Wrong(f"{key} is no token of the vocabulary")
        limits = _LIMITS.get(key.partition(".")[2])
        if limits is not None and value.count is None and not _is_count(value, *limits):
            raise _Wrong(f"{key} is {value.value!r}")


def _is_count(value: Value, least: int, most: int) -> bool:
    return type(value.value) is int and least <= value.value <= most
