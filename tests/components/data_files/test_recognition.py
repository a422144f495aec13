"""What a file holds, by its beginning."""

import gzip
import json

import pytest

from furrow.components.data_files.recognition import held_by

ROW = b'{"prompt": "a", "completion": "b"}'
LONG = json.dumps({"text": "x" * 100_000}).encode()


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ("jsonl", ROW + b"\n" + ROW),
        ("jsonl", b"\xef\xbb\xbf\n\n " + ROW + b"\r\n\r\n" + ROW),
        ("jsonl", LONG + b"\n" + LONG),
        ("json", b"[" + ROW + b"]"),
        ("json", b'\n[\n  {\n    "a": 1\n  },\n' + ROW + b"]"),
        ("json", b"[" + LONG + b"]"),
        ("json", b"[]"),
        ("object", ROW + b"\n"),
        ("object", b'{\n  "data": [\n' + ROW + b"]}"),
        ("object", b'{\n  "data": [\n' + LONG + b"]}"),
        ("text", b'["a", "b"]\n["c"]\n'),
        ("text", b"[" + ROW + b"]\n[" + ROW + b"]\n"),
        ("text", b"[a link](to.md)\n"),
        ("text", b"{curly} words\n"),
        ("text", b"{{ template }}" * 10_000),
        ("text", b"prompt,completion\na,b\n"),
        ("text", b"\xff\xfe{\0"),
        ("text", b""),
        ("parquet", b"PAR1..."),
    ],
)
def test_content_is_told_by_its_beginning(tmp_path, content, data):
    path = tmp_path / "data"
    path.write_bytes(data)
    assert (held_by(path).content, held_by(path).packed) == (content, None)
    path.write_bytes(gzip.compress(data))
    assert (held_by(path).content, held_by(path).packed) == (content, "gzip")


@pytest.mark.parametrize(
    ("delimiter", "data"),
    [
        (",", "a,b\n1,2\n"),
        (";", "a;b\n1;2\n"),
        ("\t", 'a\tb\n"1, 2\n3"\t2\n\n4\t5'),
        ("|", "a|b\n1|2\n3|4\n"),
        (",", "a;b,c\n1;2,3\n"),
        (None, "a|b;c\n1|2;3\n"),
        (None, "text\nno delimiter, but a comma\n"),
        (None, "a;b\n1;2;3\n"),
        (None, "a;b\n"),
        (";", "a;b\n" + "1;2\n" * 50_000),
        (";", "a;b\n" + '1;"2\n2"\n' * 50_000),
    ],
)
def test_a_delimiter_is_one_that_gives_every_row_as_many_fields_as_the_header(tmp_path, delimiter, data):
    path = tmp_path / "data.csv"
    path.write_bytes(data.encode())
    assert held_by(path).delimiter(",") == delimiter
