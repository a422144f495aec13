"""A JSON array: the line where each element begins, and errors where they are."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.dataset_reader.json_array import JsonArray, JsonArrayConfig
from furrow.components.dataset_reader.window import Window
from furrow.components.errors import RequestError


def test_every_element_says_the_line_where_it_begins(read):
    data = b'\xef\xbb\xbf\r\n[\r\n  {"a": "1",\r\n   "b": [1, 2]},\r\n\r\n  {"a": "\xc3\xa9"}, {"a": "3"}\r\n]\r\n'
    assert read("json", data) == [(3, {"a": "1", "b": [1, 2]}), (6, {"a": "é"}), (6, {"a": "3"})]


BAD = [
    (b'[{"a": 1},\n {"a": }]', 2, "invalid JSON at column 8: Expecting value"),
    (b'[{"a": 1},\n {"a":\n  "x" "y"}]', 3, "invalid JSON at column 7: Expecting ','"),
    (b'[{"a": 1},\n {"a": "x\n"}]', 2, "invalid JSON at column 10: Invalid control character"),
    (b'[{"a": 1},\n {"a": "x', 2, "Unterminated string"),
    (b'[{"a": 1},\n {"a": 1', 2, "Expecting ','"),
    (b'[{"a": 1},\n 3]', 2, "an object is wanted, not a number"),
    (b'[{"a": 1},\n]', 2, "an object is wanted, not ']'"),
    (b'[{"a": 1}\n {"a": 1}]', 2, "a comma or ] is wanted, not '{'"),
    (b'[{"a": 1}\n', 2, "a comma or ] is wanted, not 'the end'"),
    (b'[{"a": 1}]\n[]', 2, "more text after the array"),
    (b'[{"a": 1},\n{"a": 1, "a": 2}]', 2, "the key 'a' is there twice"),
    (b'[{"a": 1},\n{"a": NaN}]', 2, "NaN is no JSON number"),
    (b'[{"a": 1},\n{"a": "\\ud83d"}]', 2, "lone surrogate"),
    (b'[{"a": 1},\n{"a": "\xe9"}]', 2, "byte 0xE9 at byte 18 of the file is not UTF-8; .* 'é'"),
    (b'[{"a": 1},\n{"a": "\0"}]', 2, "NUL at byte 18 of the file"),
    (b"[]", 1, "holds no rows"),
    (b" \n ", 2, "holds no rows"),
    (b"", 1, "empty"),
    (b'{"a": 1}\n{"a": 2}\n', 1, "begins with '{'"),
]


@pytest.mark.parametrize(("data", "line", "wrong"), BAD)
def test_what_is_wrong_is_said_with_its_line(read, data, line, wrong):
    with pytest.raises(RequestError, match=wrong) as error:
        read("json", data)
    assert error.value.where.endswith(f":{line}")


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
@pytest.mark.parametrize(("data", "line", "wrong"), BAD)
def test_an_error_does_not_depend_on_where_the_pieces_end(read, monkeypatch, piece, data, line, wrong):
    monkeypatch.setattr("furrow.components.dataset_reader.window._PIECE", piece)
    test_what_is_wrong_is_said_with_its_line(read, data, line, wrong)


def test_a_bad_element_is_refused_without_reading_the_rest_of_the_file(read, monkeypatch):
    pieces = []
    read_on = Window.read_on
    monkeypatch.setattr("furrow.components.dataset_reader.window._PIECE", 64)
    monkeypatch.setattr(Window, "read_on", lambda window: pieces.append(1) or read_on(window))
    with pytest.raises(RequestError, match="Expecting value"):
        read("json", b'[{"a": }' + b',{"a": 1}' * 10_000 + b"]")
    assert len(pieces) == 1


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_a_list_within_one_object_is_read_by_its_key(read, monkeypatch, piece):
    monkeypatch.setattr("furrow.components.dataset_reader.window._PIECE", piece)
    data = b'{"version": "1", "of": {"data": [3]},\n "data": [{"a": 1},\n {"a": 2}], "end": [1, {}], "n": 12}\n'
    assert read("json", data, field="data") == [(2, {"a": 1}), (3, {"a": 2})]
    assert read("json", b'{"data":[{"a": 1}]}', field="data") == [(1, {"a": 1})]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b'{"date": [{"a": 1}], "n": 3}', "no key 'data' in the object\n  did you mean 'date'"),
        (b'[{"a": 1}]', "the file is no object"),
        (b'{"data": {"a": 1}}', "the field begins with '{', an array of objects"),
        (b'{"data": []}', "the array is empty"),
        (b'{"data": [{"a": 1}], "n": }', "wanted, not '}'"),
        (b'{"data": [{"a": 1}], "n"', "a key and a colon are wanted"),
        (b'{"data": [{"a": 1}]', "a comma or } is wanted, not 'the end'"),
        (b'{"data": [{"a": 1}]} {}', "more text after"),
        (b'{data: [{"a": 1}]}', "a key and a colon are wanted"),
    ],
)
def test_what_is_wrong_around_that_list_is_said_too(read, data, wrong):
    with pytest.raises(RequestError, match=wrong):
        read("json", data, field="data")


def test_an_element_over_the_bound_is_refused(read, monkeypatch):
    monkeypatch.setattr("furrow.components.dataset_reader.window.LONGEST", 2 << 20)
    with pytest.raises(RequestError, match="longer than"):
        read("json", b'[{"a": "' + b"x" * (5 << 20) + b'"}]')


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('aé🌱"\\{[,\n'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab]}"), inner, max_size=3),
)


@settings(max_examples=50)
@given(
    st.lists(st.dictionaries(st.text("xyz🌱"), values), min_size=1),
    st.sampled_from([None, 0, 2]),
    st.booleans(),
    st.integers(1, 40),
)
def test_an_array_reads_as_pythons_own_reader_has_it(tmp_path_factory, rows, indent, ascii_only, piece):
    path = tmp_path_factory.mktemp("rows") / "data.json"
    written = json.dumps(rows, indent=indent, ensure_ascii=ascii_only)
    path.write_text(written, encoding="utf-8", newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("furrow.components.dataset_reader.window._PIECE", piece)
        read = list(JsonArray(JsonArrayConfig()).read(path))
    assert [dict(row.columns) for row in read] == rows
    lines = written.split("\n")
    assert all("{" in lines[int(row.where.rpartition(":")[2]) - 1] for row in read)
