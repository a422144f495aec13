"""GGUF files to order: a whole one that llama.cpp loads, the same with some keys changed, and headers from nothing."""

from __future__ import annotations

import functools
import struct
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.faults.hostile._tiny import base, change
from tests.faults.hostile.payload import by_command

U32, F32, I32, STRING, ARRAY, U64 = 4, 6, 5, 8, 9, 10


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def u32(name: str, value: int) -> bytes:
    return key(name, U32, struct.pack("<I", value))


def array(name: str, kind: int, count: int, values: bytes) -> bytes:
    return key(name, ARRAY, struct.pack("<IQ", kind, count) + values)


def tensor(name: str, shape: Iterable[int], kind: int, offset: int, dimensions: int | None = None) -> bytes:
    sizes = list(shape)
    count = len(sizes) if dimensions is None else dimensions
    return text(name) + struct.pack(f"<I{len(sizes)}QIQ", count, *sizes, kind, offset)


def header(keys: list[bytes], tensors: list[bytes], room: int = 0, **claimed: int) -> bytes:
    """A whole file; `claimed` are other counts or another version than what is in it."""
    counts = claimed.get("claimed_tensors", len(tensors)), claimed.get("claimed_keys", len(keys))
    head = b"GGUF" + struct.pack("<IQQ", claimed.get("version", 3), *counts) + b"".join(keys) + b"".join(tensors)
    return head + bytes(-len(head) % 32 + room)


def edited(**changes: bytes | None) -> bytes:
    """The whole file with other values under these keys (`__` for a dot), or without the key, or with new ones."""
    from gguf import GGUFReader

    changed = {name.replace("__", "."): value for name, value in changes.items()}
    data = whole()
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        reader = GGUFReader(file.name)
        fields = [field for name, field in reader.fields.items() if not name.startswith("GGUF.")]
        spans = {field.name: data[field.offset :][: sum(part.nbytes for part in field.parts)] for field in fields}
        infos = reader.tensors[0].field.offset, reader.tensors[-1].field
        end = infos[1].offset + sum(part.nbytes for part in infos[1].parts)
        tensors, count, begin = data[infos[0] : end], len(reader.tensors), reader.data_offset
    keys = [value for value in {**spans, **changed}.values() if value is not None]
    head = b"GGUF" + struct.pack("<IQQ", 3, count, len(keys)) + b"".join(keys) + tensors
    return head + bytes(-len(head) % 32) + data[begin:]


@functools.cache
def whole() -> bytes:
    """What `convert` makes of the tiny base."""
    with tempfile.TemporaryDirectory() as place:
        model = change(base(Path(place)), "tokenizer_config.json", chat_template="{{ messages[0]['content'] }}")
        to = Path(place, "tiny.gguf")
        by_command("convert", model, to, "--format", "gguf", "--quantization", "f32")
        return to.read_bytes()
