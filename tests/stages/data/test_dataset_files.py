"""Which reader reads what: by name and by content, told where they differ; folders; and what says a set is the same."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from furrow.components.errors import RequestError
from furrow.components.registry import find
from furrow.stages.data.dataset_files import identity, reader_for, type_by_name
from furrow.strategies.wiring import Wired

ROWS = [{"prompt": f"q{number}", "completion": "a, b; c"} for number in range(3)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
ARRAY = json.dumps(ROWS, indent=1).encode()
CSV = b"prompt,completion\n" + b"".join(f'q{number},"a, b; c"\n'.encode() for number in range(3))


def wired(kind, **settings):
    component = find("dataset_reader", kind)
    return Wired("dataset_reader", kind, component, component.config.model_validate_json(json.dumps(settings)))


def read(path, reader=None):
    """(its rows' columns, what was noted)"""
    notes: list[str] = []
    rows = reader_for(path, reader, lambda event: notes.append(event.message)).read(path)
    return [dict(row.columns) for row in rows], notes


@pytest.fixture
def put(tmp_path):
    def put(name, data):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return put


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "rows"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("r.jsonl", LINES),
        ("r.NDJSON", LINES),
        ("r.json", ARRAY),
        ("r.csv", CSV),
        ("r.tsv", CSV.replace(b",completion", b"\tcompletion").replace(b',"', b'\t"')),
        ("r.jsonl.gz", gzip.compress(LINES)),
        ("r.json.zst", zstandard.compress(ARRAY)),
        ("r.csv.gz", gzip.compress(CSV)),
    ],
)
def test_what_is_what_its_name_says_is_read_without_a_word(put, name, data):
    assert read(put(name, data)) == (ROWS, [])


def test_parquet_is_read_without_a_word_too(put, parquet):
    assert read(put("r.parquet", parquet)) == (ROWS, [])
    assert read(put("r.parquet.gz", gzip.compress(parquet))) == (ROWS, [])
    assert read(put("r.parquet.zst", zstandard.compress(parquet))) == (ROWS, [])


@pytest.mark.parametrize(
    ("name", "data", "note"),
    [
        ("r.json", LINES, "r.json is JSON lines, whatever its ending says, and is read as such"),
        ("r.jsonl", ARRAY, "r.jsonl is a JSON array, whatever"),
        ("r.csv", LINES, "r.csv is JSON lines, whatever"),
        ("r.parquet", ARRAY, "r.parquet is a JSON array, whatever"),
        ("r.jsonl", None, "r.jsonl is Parquet, whatever"),
        ("r", LINES, "r is read as JSON lines, which it is"),
        ("r.data", None, "r.data is read as Parquet, which it is"),
        ("r.gz", gzip.compress(ARRAY), "r.gz is read as a JSON array, which it is"),
        ("r.csv", CSV.replace(b"t,c", b"t;c").replace(b',"', b';"'), "divided by semicolons, not by commas"),
        ("r.csv", CSV.replace(b"t,c", b"t\tc").replace(b',"', b'\t"'), "divided by tabs, not by commas"),
        ("r.tsv", CSV, "divided by commas, not by tabs"),
        ("r.jsonl", gzip.compress(LINES), "r.jsonl is packed by gzip, and is unpacked as it is read"),
        ("r.jsonl", zstandard.compress(LINES), "r.jsonl is packed by zstd"),
        ("r.jsonl.gz", zstandard.compress(LINES), "r.jsonl.gz is packed by zstd"),
        ("r.jsonl.gz", LINES, "r.jsonl.gz is not packed, whatever its ending says"),
    ],
)
def test_what_is_other_than_its_name_says_is_read_as_what_it_is_and_told(put, parquet, name, data, note):
    rows, [noted] = read(put(name, parquet if data is None else data))
    assert rows == ROWS and note in noted


@pytest.mark.parametrize(
    ("name", "data", "wrong"),
    [
        ("r", b"hello\n", "the ending of r does not say how to read it\n.*jsonl.*or choose a reader"),
        ("r.xml", b"<a/>", "the ending of r.xml does not say"),
        ("r.txt", LINES, "the file is JSON lines, and its ending says text\n.*reader: jsonl.*reader: text"),
        ("r.md", ARRAY, "the file is a JSON array, and its ending says text"),
        ("r.parquet", b"\0\1\2", "the file is no Parquet\n"),
        ("r.parquet", b"a text", "this looks like plain text, and its ending says Parquet\n.*dataset.reader: text"),
        ("r.parquet", CSV, "a table divided by commas .CSV., and its ending says Parquet\n"),
        ("r.jsonl", CSV, "divided by commas .CSV., and its ending says JSON lines\n.*name it r.csv, or .*type: csv"),
        ("r.jsonl", b"a;b\n1;2\n3;4\n", 'divided by semicolons.*\n.*dataset.reader: {type: csv, delimiter: ";"}'),
        ("r.jsonl", b'a, b\n{"a": 1, "b": 2}\n', "invalid JSON"),
        ("r.json", b'{"data": [{"a": 1}]}', "begins with '{', an array of objects is wanted\n.*field: data"),
        ("r.jsonl", b'{\n "a": 1\n}\n', "invalid JSON"),
        ("r.csv", b"a;b\n1;2;3\n", "the header is one column.*\n.*may be ';'"),
    ],
)
def test_what_nobody_can_tell_is_refused_with_what_to_do(put, name, data, wrong):
    path = put(name, data)
    with pytest.raises(RequestError, match=wrong):
        for row in reader_for(path).read(path):
            raise row.error()


def test_a_reader_that_is_named_reads_whatever_the_file_is_called(put):
    assert read(put("r.txt", LINES), wired("jsonl")) == (ROWS, [])
    assert read(put("r.json", json.dumps({"n": 3, "rows": ROWS}).encode()), wired("json", field="rows")) == (ROWS, [])
    assert read(put("r.jsonl", LINES), wired("text"))[0] == [{"text": LINES.decode().rstrip()}]


def test_a_name_that_is_no_file_is_refused_and_the_hub_is_mentioned(tmp_path):
    with pytest.raises(RequestError, match=r"there is no file owner/name \(looked in .*\n.*dataset.reader: datasets"):
        reader_for(Path("owner/name"))


def test_a_folder_of_shards_is_read_in_the_order_of_their_names_and_what_is_left_out_is_told(put, tmp_path):
    for name, at in (("data/train-2.jsonl", 2), ("data/train-0.jsonl", 0), ("data/train-1.jsonl.gz", 1)):
        line = LINES.splitlines(keepends=True)[at]
        put(name, gzip.compress(line) if name.endswith("gz") else line)
    for name in ("README.md", "dataset_info.json", "_SUCCESS", ".git/x.jsonl"):
        put(name, b"{}")
    put("data/train-3.jsonl", b"")
    rows, [note] = read(tmp_path)
    assert rows == ROWS
    assert note == (
        f"3 files of {tmp_path} are read as jsonl, in the order of their names; 3 others are not (.json, .jsonl, .md)"
    )
    assert read(tmp_path, wired("jsonl"))[0] == ROWS


def test_a_folder_of_several_formats_or_splits_or_of_none_is_refused(put, tmp_path):
    with pytest.raises(RequestError, match="the folder holds no data"):
        reader_for(tmp_path)
    put("train.jsonl", LINES)
    put("latest.jsonl", LINES)  # holds the letters of test
    assert len(read(tmp_path)[0]) == 6
    put("validation-00001.jsonl", LINES)
    with pytest.raises(RequestError, match=r"several splits, .*: train \(1 files\), validation \(1 files\)"):
        reader_for(tmp_path)
    put("b.csv", CSV)
    with pytest.raises(RequestError, match=r"several formats: 1 of csv, 3 of jsonl\n.*dataset.reader: jsonl"):
        reader_for(tmp_path)
    assert read(tmp_path, wired("csv"))[0] == ROWS


def test_links_that_lead_nowhere_and_pipes_are_no_shards(put, tmp_path):
    put("a.jsonl", LINES)
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "c.jsonl")
    rows, [note] = read(tmp_path)
    assert rows == ROWS and "2 others are not" in note


def test_a_folder_of_texts_is_a_row_a_file(put, tmp_path):
    put("b.txt", b"b")
    put("sub/a.md", b"a\n")
    assert read(tmp_path) == ([{"text": "b"}, {"text": "a"}], [])


def test_a_bad_row_of_a_shard_says_in_which_one_it_is(put, tmp_path):
    put("a.jsonl", LINES)
    bad = put("b.jsonl", LINES + b"[1]\n")
    rows = list(reader_for(tmp_path).read(tmp_path))
    assert rows[6].where == f"{bad}:4" and "is a list" in rows[6].what


def test_a_file_is_the_same_by_its_bytes_and_a_folder_by_its_files_and_their_names(put, tmp_path):
    one = put("set/a.jsonl", LINES)
    before = identity(one), identity(tmp_path / "set")
    assert len(before[0]["sha256"]) == 64 and before[1]["files"] == 1
    one.rename(tmp_path / "set" / "b.jsonl")
    assert identity(tmp_path / "set")["sha256"] != before[1]["sha256"]
    (tmp_path / "set" / "b.jsonl").rename(one)
    assert identity(tmp_path / "set") == before[1]
    one.write_bytes(LINES + b"\n")
    assert (
        identity(one)["sha256"] != before[0]["sha256"] and identity(tmp_path / "set")["sha256"] != before[1]["sha256"]
    )


def test_the_reader_of_a_name_is_known_without_opening_anything(put, tmp_path):
    assert type_by_name(Path("nowhere/r.tsv.gz")) == ("csv", {"delimiter": "\t"})
    assert type_by_name(Path("nowhere/r.xml")) is None and type_by_name(tmp_path) is None
    put("r.parquet", b"")
    assert type_by_name(tmp_path) == ("parquet", {})


def test_a_folder_of_texts_is_another_one_when_any_file_that_is_read_of_it_changes(put, tmp_path):
    for name in ("a.md", "_draft.md", "_build/b.txt", ".hidden.md", "sub/c.md"):
        put(name, b"old")
    for file in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        said, before = read(tmp_path), identity(tmp_path)
        file.write_bytes(f"new {file.name}".encode())
        assert (read(tmp_path) == said) == (identity(tmp_path) == before), file


@pytest.mark.parametrize("kind", ["jsonl", "md"])
def test_a_name_that_is_not_utf8_is_refused_in_words_that_can_be_written(tmp_path, kind):
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff." + kind.encode()))
    file.write_bytes(LINES)
    for asked in (reader_for, identity):
        with pytest.raises(
            RequestError, match=r"the name of the file .*/b\\xff\.\w+ is not UTF-8\n  rename it"
        ) as said:
            asked(tmp_path)
            pytest.fail("read")
        str(said.value).encode()
    with pytest.raises(RequestError, match="is not UTF-8"):
        reader_for(file)


def test_a_reader_that_is_named_refuses_such_a_name_too(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.md")).write_bytes(LINES)
    for kind in ("text", "jsonl"):
        with pytest.raises(RequestError, match="is not UTF-8"):
            list(reader_for(tmp_path, wired(kind)).read(tmp_path))
