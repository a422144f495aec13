"""JSON lines: good rows with their lines, bad rows refused by file:line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.jsonl import JsonLines, JsonLinesConfig
from furrow.components.errors import RequestError
from furrow.components.records import Row


def test_blank_lines_crlf_bom_and_a_missing_last_newline_are_no_trouble(read):
    data = b'\xef\xbb\xbf{"a": "1"}\r\n\r\n  \t\n {"a": "2"} \n\n{"a": "\xc3\xa9\xe2\x80\xa8x"}'
    assert read("jsonl", data) == [(1, {"a": "1"}), (4, {"a": "2"}), (6, {"a": "é\u2028x"})]


BAD = [
    (b'{"a": "1"', 2, "invalid JSON at column 11: Expecting ',' delimiter"),
    (b"{'a': 1}", 2, "invalid JSON at column 2"),
    (b'  {"a": }', 2, "invalid JSON at column 9: Expecting value"),
    (b'{"a": "1"} {"a": "2"}', 2, "more text after the object"),
    (b'["a"]', 2, "the line is a list, an object is wanted"),
    (b'"a"', 2, "is text, an object"),
    (b"null", 2, "is null, an object"),
    (b'{"a": "1", "a": "2"}', 2, "the key 'a' is there twice"),
    (b'{"a": {"b": 1, "b": 1}}', 2, "the key 'b' is there twice"),
    (b'{"a": NaN}', 2, "NaN is no JSON number"),
    (b'{"a": -Infinity}', 2, "-Infinity is no JSON number"),
    (b'{"a": 1e999}', 2, "1e999 is too large"),
    (b'{"a": ' + b"9" * 5000 + b"}", 2, "5000 digits"),
    (rb'{"a": "\ud83d"}', 2, r"lone surrogate \\ud83d"),
    (rb'{"a": ["\udc00"]}', 2, "lone surrogate"),
    (rb'{"\ud83d": "a"}', 2, "lone surrogate"),
    (rb'{"a": "x\u0000"}', 2, "escaped NUL"),
    (b'{"a": "x\0"}', 2, "NUL at column 9"),
    (b'{"a": "caf\xe9"}', 2, "byte 0xE9 at column 11 is not UTF-8; in Windows-1252 .* 'é'"),
    (b'{"a": "\xc3"}', 2, "byte 0xC3 at column 8"),
    (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 2, "nested too deep"),
]


@pytest.mark.parametrize(("line", "number", "wrong"), BAD)
def test_a_bad_row_is_refused_by_file_and_line_and_what_is_wrong(read, line, number, wrong):
    with pytest.raises(RequestError, match=wrong) as error:
        read("jsonl", b'{"a": "good"}\n' + line + b'\n{"a": "good"}\n')
    assert error.value.where.endswith(f"/data:{number}")


def test_a_whole_emoji_written_as_two_escapes_is_a_good_row(read):
    assert read("jsonl", rb'{"a": "\ud83c\udf31"}') == [(1, {"a": "🌱"})]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "holds no rows"),
        (b"\x1f\x8b\x08\x00abc", "the gzip archive ends too early"),
        (b"PK\x03\x04abc", "a zip archive"),
        (b"PAR1abcd", "Parquet"),
        ('{"a": "1"}'.encode("utf-16"), "UTF-16"),
        ('{"a": "1"}'.encode("utf-16-le"), "NUL at column 2; the file looks like UTF-16"),
        (b'[{"a": "1"},\n{"a": "2"}]', "name it .json"),
        (b'[\n{"a": "1"}\n]', "name it .json"),
    ],
)
def test_a_file_that_is_no_json_lines_is_refused_with_what_it_is(read, data, wrong):
    with pytest.raises(RequestError, match=wrong):
        read("jsonl", data)


def test_only_the_first_line_of_a_file_tells_that_it_is_an_array(read):
    with pytest.raises(RequestError) as error:
        read("jsonl", b'{"a": "1"}\n[1]\n')
    assert error.value.what == "the line is a list, an object is wanted" and error.value.remedy is None
    with pytest.raises(RequestError, match="name it"):
        read("jsonl", b"\n[1]\n")


@pytest.mark.parametrize(
    ("nuls", "is_utf16"), [(b"a\0b\0c", False), (b"\0" * 9, False), ("some more text".encode("utf-16-le"), True)]
)
def test_a_line_with_some_nuls_is_called_utf16_only_where_every_second_byte_is_one(read, nuls, is_utf16):
    with pytest.raises(RequestError, match="NUL at column") as error:
        read("jsonl", b'{"a": "1"}\n{"a": "' + nuls + b'", "b": "and so on"}\n')
    assert ("UTF-16" in error.value.what) == is_utf16


def test_a_line_that_is_not_utf8_is_a_bad_row_with_its_bytes_and_the_next_ones_are_read(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b'{"a": "1"}\n{"a": "caf\xe9 \xc3\xa9"}\n{"a": "2"}\n{"a": "\0"}\n{"a": "3"}')
    rows = list(JsonLines(JsonLinesConfig()).read(path))
    assert [row.columns["a"] for row in rows if isinstance(row, Row)] == ["1", "2", "3"]
    assert [(row.where, row.text) for row in rows if isinstance(row, BadRow)] == [
        (f"{path}:2", '{"a": "caf\\xe9 é"}\n'),
        (f"{path}:4", '{"a": "\\x00"}\n'),
    ]
    path.write_bytes(b'{"a": "caf\xe9"}\n{"a": "1"}\n{"a": "2"}')
    with pytest.raises(RequestError, match="byte 0xE9 at column 11 is not UTF-8"):
        next(JsonLines(JsonLinesConfig()).read(path))


def test_a_folder_and_a_missing_file_are_refused(tmp_path):
    for path, wrong in [(tmp_path, "is a folder"), (tmp_path / "none.jsonl", "there is no file")]:
        with pytest.raises(RequestError, match=wrong):
            list(JsonLines(JsonLinesConfig()).read(path))


def test_a_line_over_the_bound_is_refused_without_reading_it_all(read, monkeypatch):
    monkeypatch.setattr("furrow.components.dataset_reader.lines.LONGEST", 1 << 20)
    with pytest.raises(RequestError, match="longer than 1 MiB") as error:
        read("jsonl", b'{"a": "1"}\n{"a": "' + b"x" * (2 << 20) + b'"}')
    assert error.value.where.endswith(":2")


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(st.lists(st.dictionaries(texts, texts), min_size=1), st.booleans())
def test_whatever_json_writes_is_read_back(tmp_path_factory, rows, ascii_only):
    path = tmp_path_factory.mktemp("rows") / "data.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows), encoding="utf-8", newline="")
    assert [dict(row.columns) for row in JsonLines(JsonLinesConfig()).read(path)] == rows
