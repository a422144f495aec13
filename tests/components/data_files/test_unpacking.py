"""Archives: unpacked as they are read, in bounded memory; what is damaged is named with its line."""

import gzip
import json
import random
import subprocess
import sys

import pytest
import zstandard

from furrow.components.data_files.opening import open_bytes, open_text
from furrow.components.errors import FurrowError, RequestError

TEXT = "".join(json.dumps({"n": number, "text": "é" * (number % 90)}) + "\n" for number in range(20_000)).encode()
PACKING = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("kind", PACKING)
def test_the_text_behind_an_archive_is_read_whole_whatever_its_name(tmp_path, kind):
    path = tmp_path / "rows"
    path.write_bytes(PACKING[kind](TEXT))
    with open_text(path) as file:
        assert b"".join(iter(lambda: file.read(random.randrange(1, 300_000)), b"")) == TEXT
    with open_text(path) as file:
        assert list(file) == TEXT.splitlines(keepends=True)


@pytest.mark.parametrize("kind", PACKING)
def test_archives_behind_one_another_are_one_text(tmp_path, kind):
    path = tmp_path / "rows"
    path.write_bytes(b"".join(PACKING[kind](TEXT[at : at + 100_000]) for at in range(0, len(TEXT), 100_000)))
    with open_bytes(path) as file:
        assert file.read() == TEXT


@pytest.mark.parametrize("kind", PACKING)
def test_an_archive_that_ends_too_early_gives_what_it_has_and_then_says_so(tmp_path, kind):
    path = tmp_path / "rows"
    noise = random.Random(1).randbytes(3_000_000).hex().encode()
    lines = b"".join(noise[at : at + 99] + b"\n" for at in range(0, len(noise), 99))
    packed = PACKING[kind](lines)
    path.write_bytes(packed[: len(packed) // 2])
    read = 0
    with open_bytes(path) as file, pytest.raises(RequestError, match=f"the {kind} archive ends too early") as error:
        for line in file:
            read += len(line)
    assert read > len(lines) // 3
    assert int(error.value.where.rpartition(":")[2]) - read // 100 in (0, 1)  # the last line may be half a one


@pytest.mark.parametrize("kind", PACKING)
def test_a_flipped_bit_is_noticed(tmp_path, kind):
    packed = bytearray(
        zstandard.ZstdCompressor(write_checksum=True).compress(TEXT) if kind == "zstd" else gzip.compress(TEXT)
    )
    packed[len(packed) // 2] ^= 8
    path = tmp_path / "rows"
    path.write_bytes(packed)
    with open_bytes(path) as file, pytest.raises(RequestError, match=f"the {kind} archive is damaged .*\n  copy"):
        file.read()


def test_what_follows_an_archive_and_is_none_is_damage(tmp_path):
    path = tmp_path / "rows"
    for packed in (gzip.compress(b"a\n"), zstandard.compress(b"a\n")):
        path.write_bytes(packed + b"more text")
        with open_bytes(path) as file, pytest.raises(RequestError, match=r"rows:2: the \w+ archive is damaged"):
            file.read()


MEASURED = """
import re, sys
from pathlib import Path
from furrow.components.dataset_reader import BadRow
from furrow.components.registry import factory, find
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10
component = find("dataset_reader", "jsonl")
reader = factory(component)(component.config())
import zstandard
before = highest()
rows = list(reader.read(Path(sys.argv[1])))
print(len(rows), sum(isinstance(row, BadRow) for row in rows), highest() - before)
"""


@pytest.mark.parametrize("kind", PACKING)
def test_a_bomb_takes_no_more_memory_than_its_longest_line_may_have(tmp_path, kind):
    path = tmp_path / "bomb"
    row, zeros = b'{"a": 1}\n', bytes(1 << 20)
    with path.open("wb") as file:
        pack = {"gzip": lambda: gzip.GzipFile(fileobj=file, mode="wb"), "zstd": lambda: zstandard.open(file, "wb")}
        with pack[kind]() as writer:
            writer.write(row)
            for _ in range(700):
                writer.write(zeros)
            writer.write(b"\n" + row)
    assert path.stat().st_size < 1_000_000
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True, timeout=60
    )
    rows, bad, megabytes = map(int, ended.stdout.split())
    assert (rows, bad) == (3, 1) and megabytes < 250


def test_without_the_package_for_zstd_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl.zst"
    path.write_bytes(zstandard.compress(TEXT))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(FurrowError, match=r"'zstandard' is wanted\n  pip install 'furrow\[zstd\]'"):
        open_text(path)
