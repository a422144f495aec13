"""Parquet: values as JSON has them, a value that it does not have a bad row, and memory that holds pages only."""

import contextlib
import datetime
import decimal
import gzip
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.parquet.component import ParquetConfig
from furrow.components.dataset_reader.parquet.reader import ParquetTable
from furrow.components.errors import FurrowError, RequestError
from furrow.components.records import Row
from furrow.components.registry import factory, find

UTC = datetime.UTC


def read(path, **config):
    return list(ParquetTable(ParquetConfig(**config)).read(path))


@pytest.fixture
def table(tmp_path):
    def table(**columns):
        path = tmp_path / "rows.parquet"
        pq.write_table(pa.table(columns), path)
        return path

    return table


def test_texts_numbers_and_what_holds_them_are_read_with_the_number_of_their_row(table):
    said = [[{"role": "user", "content": "é\n"}], []]
    path = table(text=["a", None], number=[1, 2**62], share=[0.5, None], yes=[True, False], messages=said)
    assert read(path) == [
        Row({"text": "a", "number": 1, "share": 0.5, "yes": True, "messages": said[0]}, f"{path}:1"),
        Row({"text": None, "number": 2**62, "share": None, "yes": False, "messages": []}, f"{path}:2"),
    ]


@pytest.mark.parametrize(
    ("values", "read_as"),
    [
        (pa.array([datetime.date(2024, 2, 29)]), "2024-02-29"),
        (pa.array([datetime.datetime(2024, 2, 29, 1, 2, 3)]), "2024-02-29 01:02:03.000000"),
        (pa.array([datetime.datetime(2024, 2, 29, tzinfo=UTC)], pa.timestamp("ms", "UTC")), "2024-02-29 00:00:00.000Z"),
        (pa.array([1], pa.timestamp("ns")), "1970-01-01 00:00:00.000000001"),
        (pa.array([datetime.time(1, 2, 3)]), "01:02:03.000000"),
        (pa.array([decimal.Decimal("1.50")]), "1.50"),
        (pa.array([b"caf\xc3\xa9"]), "café"),
        (pa.array([b"ab"], pa.binary(2)), "ab"),
        (pa.array(["a", "a"]).dictionary_encode().slice(1), "a"),
        (pa.array(["a"], pa.large_string()), "a"),
        (pa.array([1.5], pa.float16()), 1.5),
        (pa.array([0.1], pa.float32()), float(np.float32(0.1))),
        (pa.array([255], pa.uint8()), 255),
        (pa.nulls(1), None),
        (pa.array([{"on": datetime.date(2024, 2, 29), "of": [b"x"]}]), {"on": "2024-02-29", "of": ["x"]}),
        (pa.array([[decimal.Decimal("2.0")]]), ["2.0"]),
        (pa.array([[1.5, None], []]).slice(0, 1), [1.5, None]),
    ],
    ids=str,
)  # fmt: skip
def test_what_json_does_not_have_becomes_text_or_a_number_where_that_says_the_same(table, values, read_as):
    [row] = read(table(value=values))
    assert row.columns == {"value": read_as} and json.loads(json.dumps(row.columns)) == row.columns


@pytest.mark.parametrize(
    ("good", "bad", "wrong"),
    [
        (1.5, float("nan"), "is NaN"),
        (1.5, -float("inf"), "is infinite"),
        ([1.5], [float("nan")], "is NaN"),
        ("a", "a\0b", "has a NUL in it"),
        (["a"], ["a\0b"], "has a NUL in it"),
        (b"a", b"\xff\xd8\xff", "is 3 bytes that are no UTF-8 text"),
        ({"bytes": b"a"}, {"bytes": b"\xff"}, "is 1 bytes that are no UTF-8 text"),
        (None, datetime.timedelta(1), r"is duration\[us\], which JSON does not have"),
        ([], [datetime.timedelta(1)], "is timedelta, which JSON does not have"),
    ],
)
def test_a_value_that_is_neither_makes_its_row_a_bad_one_that_names_the_column(table, good, bad, wrong):
    path = table(id=[1, 2, 3], score=[good, bad, good])
    rows = read(path)
    assert [type(row) for row in rows] == [Row, BadRow, Row]
    assert rows[1].where == f"{path}:2" and "'id': 2" in rows[1].text
    with pytest.raises(RequestError, match=f"column 'score' {wrong}\n.*type: parquet, columns:"):
        raise rows[1].error()
    assert read(path, columns=("id",)) == [Row({"id": number}, f"{path}:{number}") for number in (1, 2, 3)]


def test_text_that_is_not_utf8_is_a_bad_row(table, tmp_path):
    raw = pa.Array.from_buffers(pa.string(), 3, pa.array([b"ab", b"\xff\xfe", b"c"], pa.binary()).buffers())
    rows = read(table(text=raw))
    assert [getattr(row, "what", None) for row in rows] == [None, "column 'text' is not UTF-8", None]
    assert [row.columns["text"] for row in rows if isinstance(row, Row)] == ["ab", "c"]


def test_columns_are_read_in_the_order_that_is_asked_for_and_one_that_is_not_there_is_refused(table):
    path = table(prompt=["a"], completion=["b"], other=["c"])
    assert list(read(path, columns=("completion", "prompt"))[0].columns) == ["completion", "prompt"]
    with pytest.raises(RequestError, match=r"no column 'promt'\n  did you mean 'prompt'"):
        read(path, columns=("promt",))


def test_a_name_that_two_columns_have_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(RequestError, match="two columns have the name 'a'"):
        read(path)


def test_what_is_no_parquet_or_half_of_one_is_refused(table, tmp_path):
    path = table(a=list(range(10_000)))
    whole = path.read_bytes()
    for data, wrong in [
        (whole[:-40], "cannot be read: .*footer"),
        (b"PAR1", "cannot be read"),
        (b'{"a": 1}\n', "the file is no Parquet"),
        (b"", "the file is no Parquet"),
    ]:
        path.write_bytes(data)
        with pytest.raises(RequestError, match=wrong):
            read(path)
    pq.write_table(pa.table({"a": list(range(10_000))}), path, write_page_checksum=True)
    flipped = bytearray(path.read_bytes())
    flipped[400] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(RequestError, match=r"rows.parquet:\d+: the Parquet file cannot be read"):
        read(path)
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(RequestError, match="holds no rows"):
        read(path)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
values = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(texts | st.none(), values, st.lists(texts)), min_size=1))
def test_whatever_arrow_writes_of_json_is_read_back(tmp_path_factory, rows):
    numbers = [number for _, number, _ in rows]
    kinds = {type(number) for number in numbers} - {type(None)}
    numbers = numbers if len(kinds) < 2 else [None for _ in numbers]
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(
        pa.table({"text": [row[0] for row in rows], "number": numbers, "list": [row[2] for row in rows]}), path
    )
    assert [tuple(row.columns.values()) for row in read(path)] == [
        (row[0], number, row[2]) for row, number in zip(rows, numbers, strict=True)
    ]


MEASURED = """
import re, sys
from pathlib import Path
from furrow.components.dataset_reader.parquet.component import ParquetConfig
from furrow.components.dataset_reader.parquet.reader import ParquetTable
def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10
before = highest()
print(sum(1 for row in ParquetTable(ParquetConfig()).read(Path(sys.argv[1]))), highest() - before)
"""


def test_one_row_group_of_180_megabytes_takes_a_fraction_of_that(tmp_path):
    path = tmp_path / "rows.parquet"
    noise = np.random.default_rng(1).integers(97, 122, 1_000_000, np.uint8).tobytes().decode()
    rows = [noise[at * 7 : at * 7 + 3000] for at in range(60_000)]
    pq.write_table(pa.table({"text": rows}), path, row_group_size=len(rows), use_dictionary=False)
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True, timeout=60
    )
    count, megabytes = map(int, ended.stdout.split())
    assert count == 60_000 and megabytes < 100


def test_an_archive_of_something_much_larger_is_refused_before_it_fills_the_disk(tmp_path):
    path = tmp_path / "rows.parquet.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"PAR1")
        for _ in range(80):
            file.write(bytes(1 << 20))
    with pytest.raises(RequestError, match="the table is more than 64 MiB, and its archive 8"):
        read(path)


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    for name in ("parquet.reader", "arrow_rows"):
        monkeypatch.delitem(sys.modules, f"furrow.components.dataset_reader.{name}")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FurrowError, match=r"the package 'pyarrow' is not installed\n  pip install 'furrow\[parquet\]'"):
        factory(find("dataset_reader", "parquet"))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 1800), st.integers(0, 7))
def test_a_damaged_table_gives_rows_or_one_error_and_nothing_else(tmp_path_factory, cut, at, bit):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(pa.table({"é": ["x", None] * 50, "list": [[1], []] * 50, "in": [{"q": 1.5}] * 100}), path)
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << bit
    if cut % 3 == 0:
        del data[cut % len(data) : cut % len(data) + cut % 40]
    path.write_bytes(data)
    with contextlib.suppress(RequestError):
        assert all(isinstance(row, Row | BadRow) for row in read(path))
