"""A GGUF header is believed where it can be true: what gguf's own reader finds in whole files, and nothing else."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.errors import FurrowError
from furrow.components.models.gguf_header import read_gguf_header


def write(path: Path, *, words: int = 40) -> Path:
    """A whole file as the library writes it, with every kind of value."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_head_count([2, 2])
    writer.add_uint64("furrow.large", 1 << 50)
    writer.add_float64("furrow.fraction", 0.25)
    writer.add_bool("furrow.yes", True)
    writer.add_int8("furrow.below", -3)
    writer.add_array("furrow.numbers", [1.5, 2.5])
    writer.add_string("furrow.text", "größer")
    writer.add_token_list([f"word{number}" for number in range(words)])
    writer.add_token_types([1] * words)
    writer.add_token_scores([0.5] * words)
    writer.add_eos_token_id(words - 1)
    for name, shape in (("token_embd.weight", (words, 32)), ("norm.weight", (32,))):
        writer.add_tensor(name, np.ones(shape, dtype=np.float32))
    writer.add_tensor("packed", np.ones((4, 34), dtype=np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("gguf") / "whole.gguf")


def test_a_whole_file_is_read_as_the_library_reads_it(whole: Path) -> None:
    header, reference = read_gguf_header(whole), gguf.GGUFReader(whole)
    assert header.shapes == {each.name: tuple(map(int, each.shape)) for each in reference.tensors}
    assert set(header.values) == {name for name in reference.fields if not name.startswith("GGUF.")}
    for name, value in header.values.items():
        theirs = reference.fields[name].contents()
        assert value.value == theirs if value.count is None else value.count == len(theirs), name


def test_of_a_million_words_in_ten_gigabytes_it_takes_seconds_at_most(tmp_path: Path) -> None:
    file = write(tmp_path / "large.gguf", words=500_000)
    with file.open("r+b") as stream:
        stream.truncate(10 << 30)
    began = time.monotonic()
    assert read_gguf_header(file).values["tokenizer.ggml.tokens"].count == 500_000
    assert time.monotonic() - began < 20


def test_165_bytes_that_keep_the_library_busy_for_ever_are_refused_at_once(tmp_path: Path) -> None:
    key = struct.pack("<Q", 21) + b"tokenizer.ggml.tokens" + struct.pack("<IIQ", 9, 8, 1 << 60)
    file = tmp_path / "bomb.gguf"
    file.write_bytes((b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key).ljust(165, b"\0"))
    with pytest.raises(FurrowError, match="1,152,921,504,606,846,976 in 165 bytes"):
        read_gguf_header(file)


@settings(max_examples=300, deadline=2000)
@given(st.lists(st.tuples(st.integers(0, 1700), st.binary(min_size=1, max_size=9)), min_size=1, max_size=3))
def test_of_a_damaged_header_it_says_so_or_reads_what_the_library_reads(
    whole: Path, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(whole.read_bytes())
    for at, new in changes:
        data[at : at + len(new)] = new
    damaged = whole.parent / "damaged.gguf"
    damaged.write_bytes(data)
    try:
        header = read_gguf_header(damaged)
    except FurrowError:
        return
    theirs = gguf.GGUFReader(damaged)  # whatever passes does not hang it
    assert header.shapes == {each.name: tuple(map(int, each.shape)) for each in theirs.tensors}


def vocabulary(path: Path, texts: list[str], *, heads: int = 2) -> Path:
    writer = gguf.GGUFWriter(path, "mamba")
    writer.add_head_count(heads)
    writer.add_token_list(texts)
    writer.add_pad_token_id(len(texts))
    writer.add_tensor("a", np.zeros((4, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_converters_write_and_llama_cpp_passes_over_is_read(tmp_path: Path) -> None:
    """No heads (Mamba), a padding token one beyond the vocabulary, two tokens without a text."""
    header = read_gguf_header(vocabulary(tmp_path / "model.gguf", ["a", "", "b", ""], heads=0))
    assert header.number("tokenizer.ggml.padding_token_id") == 4 and header.number("mamba.attention.head_count") == 0


@pytest.mark.parametrize("texts", [["a", "a"], ["", "[EMPTY_0]"]])
def test_tokens_that_llama_cpp_takes_for_one_are_refused(texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(FurrowError, match="1 tokens have the text of another"):
        read_gguf_header(vocabulary(tmp_path / "model.gguf", texts))
