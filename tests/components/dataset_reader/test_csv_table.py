"""CSV: a header, text in every field, and rows that do not fit it refused by line."""

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.components.dataset_reader.csv_table import CsvConfig, CsvTable
from furrow.components.errors import RequestError


def test_quoted_newlines_blank_lines_crlf_and_bom_are_no_trouble(read):
    data = b'\xef\xbb\xbfprompt,completion\r\n\r\n"a\r\nb","say ""x"""\r\n   \r\nc,\r\nd,e'
    assert read("csv", data) == [
        (3, {"prompt": "a\nb", "completion": 'say "x"'}),
        (6, {"prompt": "c", "completion": ""}),
        (7, {"prompt": "d", "completion": "e"}),
    ]


def test_another_delimiter_is_a_setting(read):
    assert read("csv", b"a\tb\n1\t2,3\n", delimiter="\t") == [(2, {"a": "1", "b": "2,3"})]


def test_a_field_longer_than_pythons_own_limit_is_read_and_the_limit_put_back(read):
    [(_, columns)] = read("csv", b"text\n" + b"x" * 300_000)
    assert len(columns["text"]) == 300_000
    assert csv.field_size_limit() == 131072


@pytest.mark.parametrize(
    ("data", "line", "wrong"),
    [
        (b"a,b\n1,2\n3\n", 3, "the row has 1 fields, the header names 2: a, b"),
        (b'a,b\n"1\n2",2\n3,4,5\n', 4, "the row has 3 fields"),
        (b'a,b\n1,2\n3,"x\ny\n', 3, "invalid CSV in the row that begins here"),
        (b'a,b\n"x"y,2\n', 2, "invalid CSV"),
        (b"a,\n1,2\n", 1, "column 2 of the header has no name\n.*to_csv"),
        (b"a,a\n1,2\n", 1, "names the column 'a' twice"),
        (b",\n1,2\n", 1, "no header"),
        (b"a;b\n1;2\n", 1, "the header is one column.*\n.*';'"),
        (b"a,b\n1,\0\n", 2, "NUL"),
        (b"a,b\n1,\xff\n", 2, "byte 0xFF at column 3 is not UTF-8"),
        (b"a,b\n", None, "no rows under its header"),
        (b"\n\n", 1, "no header"),
        (b"", 1, "empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(read, data, line, wrong):
    with pytest.raises(RequestError, match=wrong) as error:
        read("csv", data)
    assert line is None or error.value.where.endswith(f":{line}")


fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"))


@given(st.lists(st.tuples(fields, fields), min_size=1))
def test_whatever_pythons_writer_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("rows") / "data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("a", "b"), *rows])
    assert [tuple(row.columns.values()) for row in CsvTable(CsvConfig()).read(path)] == rows
