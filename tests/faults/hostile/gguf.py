"""GGUF files that lie: about their counts, lengths, shapes and places, and about the vocabulary."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from tests.faults.hostile._gguf import ARRAY, F32, STRING, U32, array, edited, header, key, tensor, text, u32, whole
from tests.faults.hostile.payload import Payload

NEEDS = ("torch", "transformers", "peft", "gguf", "llama_cpp", "furrow.stages.convert", "tests.faults.hostile._tiny",
         "furrow.components.exporter.gguf.export", "furrow.components.model_app.llama_cpp.model")  # fmt: skip
_HUGE = 1 << 60
_ARCH = key("general.architecture", STRING, text("llama"))


def _load(folder: Path, make: Callable[[], bytes]) -> str:
    """As `complete` loads it: the tiny one first, so that llama.cpp itself is there."""
    from furrow.components.model_app.llama_cpp.model import LlamaModel

    (folder / "model.gguf").write_bytes(make())
    model = LlamaModel(folder / "model.gguf", gpu=False)
    with model.context(32, 1) as context:
        logits = context.logits_after(model.tokenize("hello"))
    return f"it answers over {len(logits)} tokens"


def _file(name: str, make: Callable[[], bytes]) -> Payload:
    return Payload(name=name, attempt=lambda folder, marker: _load(folder, make), bytes=700 << 20)


def _sparse(folder: Path, marker: Path) -> str:
    """10 GB of nothing, with a header that fits."""
    from furrow.components.models.gguf_header import read_gguf_header

    with (folder / "model.gguf").open("wb") as file:
        file.write(header([_ARCH], [tensor("a", [1 << 30, 2], 0, 0)]))
        file.truncate(10 << 30)
    return f"read: {read_gguf_header(folder / 'model.gguf').shapes}"


def _adapter(folder: Path, marker: Path) -> str:
    """A broken adapter beside a whole model."""
    from furrow.components.exporter.gguf.llama import LlamaCpp

    (folder / "model.gguf").write_bytes(whole())
    (folder / "adapter.gguf").write_bytes(header([_ARCH], [], claimed_keys=_HUGE))
    with LlamaCpp(folder / "model.gguf", adapter=folder / "adapter.gguf") as llama:
        return f"{llama.size} tokens"


def _cut(folder: Path, marker: Path) -> str:
    """Every prefix of the header, and some of the tensors."""
    from furrow.components.errors import FurrowError
    from furrow.components.models.gguf_header import read_gguf_header

    data, file = whole(), folder / "model.gguf"
    passed = []
    for length in [*range(0, 4000, 7), *range(4000, len(data), 997)]:
        file.write_bytes(data[:length])
        try:
            read_gguf_header(file)
            passed.append(length)
        except FurrowError:
            continue
    if passed:
        raise AssertionError(f"taken for whole: the first {passed} of {len(data)} bytes")
    raise FurrowError("every prefix is refused")


_LONG_ARRAY = array("tokenizer.ggml.tokens", STRING, _HUGE, text("a"))

PAYLOADS = (
    _file("whole", whole),
    _file("whole, and written again", edited),
    Payload(name="10 GB", attempt=_sparse, bytes=11 << 30),
    Payload(name="adapter", attempt=_adapter),
    Payload(name="cut anywhere", attempt=_cut),
    _file("empty", lambda: b""),
    _file("four bytes", lambda: b"GGUF"),
    _file("of version 1", lambda: header([_ARCH], [], version=1)),
    _file("of version 4", lambda: header([_ARCH], [], version=4)),
    _file("of the other byte order", lambda: header([_ARCH], [], version=3 << 24)),
    _file("no GGUF", lambda: b"PK\3\4" + bytes(500)),
    _file("165 bytes that hang the reader", lambda: header([_ARCH, _LONG_ARRAY], [])[:165].ljust(165, b"\0")),
    _file("2^60 keys", lambda: header([_ARCH], [], claimed_keys=_HUGE)),
    _file("2^60 tensors", lambda: header([_ARCH], [], claimed_tensors=_HUGE)),
    _file("more keys than it has", lambda: header([_ARCH], [], 1000, claimed_keys=30)),
    _file("a key of 2^60 bytes", lambda: header([struct.pack("<Q", _HUGE) + b"a"], [], 99)),
    _file("a key of 2^64 - 1 bytes", lambda: header([struct.pack("<Q", 2**64 - 1) + b"a"], [], 99)),
    _file("a text of 2^60 bytes", lambda: header([key("a", STRING, struct.pack("<Q", _HUGE))], [], 99)),
    _file("a key that is no text", lambda: header([text(b"\xff\xfe") + bytes(8)], [], 99)),
    _file("a key twice", lambda: header([_ARCH, _ARCH], [], 99)),
    _file("a value of type 99", lambda: header([key("a", 99, bytes(8))], [], 99)),
    _file("an array of type 99", lambda: header([array("a", 99, 5, bytes(80))], [])),
    _file("an array of 2^60 numbers", lambda: header([array("a", U32, _HUGE, bytes(80))], [])),
    _file("an array of 2^62 numbers", lambda: header([array("a", U32, 1 << 62, bytes(80))], [])),
    _file("an array of 2^60 texts", lambda: header([array("a", STRING, _HUGE, bytes(80))], [])),
    _file("an array of 2^60 arrays", lambda: header([array("a", ARRAY, _HUGE, struct.pack("<IQ", U32, 0) * 9)], [])),
    _file("arrays in arrays", lambda: header([array("a", ARRAY, 1, struct.pack("<IQ", ARRAY, 1) * 5000)], [])),
    _file("a million texts of nothing", lambda: header([_ARCH, array("a", STRING, 1_000_000, bytes(8_000_000))], [])),
    _file("a tensor of 2^31 dimensions", lambda: header([_ARCH], [tensor("a", [1], 0, 0, 1 << 31)], 99)),
    _file("a tensor of 5 dimensions", lambda: header([_ARCH], [tensor("a", [1] * 5, 0, 0)], 99)),
    _file("a tensor without dimensions", lambda: header([_ARCH], [tensor("a", [], 0, 0)], 99)),
    _file("a tensor of nothing", lambda: header([_ARCH], [tensor("a", [0, 5], 0, 0)], 99)),
    _file("a shape that overflows", lambda: header([_ARCH], [tensor("a", [1 << 32, 1 << 32], 0, 0)], 99)),
    _file("a shape below zero", lambda: header([_ARCH], [tensor("a", [2**64 - 1], 0, 0)], 99)),
    _file("a tensor of type 999", lambda: header([_ARCH], [tensor("a", [32], 999, 0)], 999)),
    _file("a tensor of a type that is gone", lambda: header([_ARCH], [tensor("a", [32], 4, 0)], 999)),
    _file("a row that is no block", lambda: header([_ARCH], [tensor("a", [33], 2, 0)], 999)),
    _file("a tensor beyond the file", lambda: header([_ARCH], [tensor("a", [64], 0, 0)], 32)),
    _file("an offset beyond the file", lambda: header([_ARCH], [tensor("a", [8], 0, _HUGE)], 999)),
    _file("an offset that overflows", lambda: header([_ARCH], [tensor("a", [8], 0, 2**64 - 32)], 999)),
    _file("an offset between", lambda: header([_ARCH], [tensor("a", [8], 0, 7)], 999)),
    _file("overlapping", lambda: header([_ARCH], [tensor("a", [16], 0, 0), tensor("b", [16], 0, 32)], 999)),
    _file("a tensor twice", lambda: header([_ARCH], [tensor("a", [8], 0, 0), tensor("a", [8], 0, 32)], 999)),
    _file("a name of a megabyte", lambda: header([_ARCH], [tensor("a" * 1_000_000, [8], 0, 0)], 999)),
    _file("alignment 0", lambda: header([_ARCH, u32("general.alignment", 0)], [tensor("a", [8], 0, 0)], 99)),
    _file("alignment 3", lambda: header([_ARCH, u32("general.alignment", 3)], [tensor("a", [8], 0, 0)], 99)),
    _file("alignment 2^31", lambda: header([_ARCH, u32("general.alignment", 1 << 31)], [tensor("a", [8], 0, 0)], 99)),
    _file("alignment that is a text", lambda: header([_ARCH, key("general.alignment", STRING, text("32"))], [], 99)),
    _file("no tensors", lambda: header([_ARCH], [])),
    _file("unknown architecture", lambda: edited(general__architecture=key("general.architecture", STRING, text("x")))),
    _file("architecture that is a number", lambda: edited(general__architecture=u32("general.architecture", 5))),
    _file("no architecture", lambda: edited(general__architecture=None)),
    _file("10^9 layers", lambda: edited(llama__block_count=u32("llama.block_count", 10**9))),
    _file("600 layers", lambda: edited(llama__block_count=u32("llama.block_count", 600))),
    _file("3 layers", lambda: edited(llama__block_count=u32("llama.block_count", 3))),
    _file("no layers", lambda: edited(llama__block_count=u32("llama.block_count", 0))),
    _file("no width", lambda: edited(llama__embedding_length=u32("llama.embedding_length", 0))),
    _file("another width", lambda: edited(llama__embedding_length=u32("llama.embedding_length", 1 << 20))),
    _file("no heads", lambda: edited(**{"llama__attention__head_count": u32("llama.attention.head_count", 0)})),
    _file("7 heads", lambda: edited(**{"llama__attention__head_count": u32("llama.attention.head_count", 7)})),
    _file("10^6 heads", lambda: edited(**{"llama__attention__head_count": u32("llama.attention.head_count", 10**6)})),
    _file("heads that are a text", lambda: edited(
        **{"llama__attention__head_count": key("llama.attention.head_count", STRING, text("2"))})),
    _file("no key heads", lambda: edited(**{
        "llama__attention__head_count_kv": u32("llama.attention.head_count_kv", 0)})),
    _file("context of nothing", lambda: edited(llama__context_length=u32("llama.context_length", 0))),
    _file("experts", lambda: edited(llama__expert_count=u32("llama.expert_count", 10**9))),
    _file("rope of no numbers", lambda: edited(**{
        "llama__rope__dimension_count": u32("llama.rope.dimension_count", 0)})),
    _file("rope of many numbers", lambda: edited(**{
        "llama__rope__dimension_count": u32("llama.rope.dimension_count", 1 << 20)})),
    _file("bos beyond", lambda: edited(
        **{"tokenizer__ggml__bos_token_id": u32("tokenizer.ggml.bos_token_id", 10**9)})),
    _file("eos beyond", lambda: edited(
        **{"tokenizer__ggml__eos_token_id": u32("tokenizer.ggml.eos_token_id", 320)})),
    _file("no vocabulary", lambda: edited(tokenizer__ggml__tokens=None)),
    _file("a vocabulary of one", lambda: edited(
        tokenizer__ggml__tokens=array("tokenizer.ggml.tokens", STRING, 1, text("a")))),
    _file("a vocabulary of numbers", lambda: edited(
        tokenizer__ggml__tokens=array("tokenizer.ggml.tokens", U32, 320, bytes(1280)))),
    _file("equal tokens", lambda: edited(
        tokenizer__ggml__tokens=array("tokenizer.ggml.tokens", STRING, 320, text("a") * 320))),
    _file("tokens of nothing", lambda: edited(
        tokenizer__ggml__tokens=array("tokenizer.ggml.tokens", STRING, 320, bytes(8 * 320)))),
    _file("fewer scores than tokens", lambda: edited(
        tokenizer__ggml__scores=array("tokenizer.ggml.scores", F32, 1, bytes(4)))),
    _file("fewer types than tokens", lambda: edited(
        tokenizer__ggml__token_type=array("tokenizer.ggml.token_type", 5, 1, bytes(4)))),
    _file("types of bytes", lambda: edited(
        tokenizer__ggml__token_type=array("tokenizer.ggml.token_type", 0, 320, bytes(320)))),
    _file("merges of noise", lambda: edited(
        tokenizer__ggml__merges=array("tokenizer.ggml.merges", STRING, 3, text("a") + text("") + text(b"\xff \xfe")))),
    _file("merges that are numbers", lambda: edited(
        tokenizer__ggml__merges=array("tokenizer.ggml.merges", U32, 3, bytes(12)))),
    _file("unknown tokenizer", lambda: edited(tokenizer__ggml__model=key("tokenizer.ggml.model", STRING, text("x")))),
    _file("another tokenizer", lambda: edited(
        tokenizer__ggml__model=key("tokenizer.ggml.model", STRING, text("llama")))),
    _file("a third tokenizer", lambda: edited(tokenizer__ggml__model=key("tokenizer.ggml.model", STRING, text("t5")))),
    _file("tokenizer that is a number", lambda: edited(tokenizer__ggml__model=u32("tokenizer.ggml.model", 1))),
    _file("unknown pre-tokenizer", lambda: edited(tokenizer__ggml__pre=key("tokenizer.ggml.pre", STRING, text("x")))),
    _file("pre-tokenizer that is a number", lambda: edited(tokenizer__ggml__pre=u32("tokenizer.ggml.pre", 1))),
    _file("template that is an array", lambda: edited(
        tokenizer__chat_template=array("tokenizer.chat_template", STRING, 1, text("{{ planted }}")))),
    _file("split into 10^9 files", lambda: edited(split__count=u32("split.count", 10**9))),
    _file("split elsewhere", lambda: edited(split__count=key("split.count", 2, struct.pack("<H", 5)),
                                            split__no=key("split.no", 2, struct.pack("<H", 4)))),
)  # fmt: skip
