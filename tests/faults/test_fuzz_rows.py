"""The row readers under random bytes: rows, bad rows with a place, or a RequestError; never anything else."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from furrow.components.dataset_reader import TEXT_KEPT, BadRow
from furrow.components.errors import RequestError
from furrow.components.plain_text import message
from furrow.components.records import Row
from furrow.components.registry import factory, find
from furrow.stages.data.bad_rows import BadRows
from tests.faults.bad_files import ROWS, UNREADABLE
from tests.reading import read_rows

SMALL = [file.data for file in (*UNREADABLE, *ROWS) if len(file.data) < 5000]
PIECES = [
    *(b'{"a": "b"}', b'{"prompt": "x", "completion": "y"}', b"[", b"]", b"{", b"}", b",", b":", b'"', b"\\", b"\n"),
    *(b"\r\n", b"\r", b" ", b"\t", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\xed\xa0\x80", b"\xe2\x80\xa8"),
    *(rb"\u0000", rb"\ud800", b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"null", b"true", b"'", b"//", b"a,b\n"),
    *(b'"a\nb"', b'""', b";", b"\x1b[31m", b"\x1f\x8b", b"PK\x03\x04", b"[" * 300, b'{"a":' * 150),
]


@st.composite
def spoiled(draw):
    """One of the known bad files, with a few bytes put in, taken out or turned over."""
    data = bytearray(draw(st.sampled_from(SMALL)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 2)):
            case 0:
                data[at:at] = draw(st.sampled_from(PIECES))
            case 1:
                del data[at : at + draw(st.integers(1, 20))]
            case 2:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
    return bytes(data)


FILES = st.one_of(st.binary(max_size=200), st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), spoiled())


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=FILES, piece=st.sampled_from([1, 7, 1 << 20]))
@example(data=b'[{"a": 1e9', piece=1)
@example(data=b'{"a": "\\u0000' + b"[" * 3000, piece=1)
def test_any_bytes_become_rows_bad_rows_or_one_error(tmp_path_factory, kind, data, piece):
    path = tmp_path_factory.getbasetemp() / f"fuzz.{kind}"
    path.write_bytes(data)
    component = find("dataset_reader", kind)
    given_rows = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("furrow.components.dataset_reader.window._PIECE", piece)
        try:
            for row in factory(component)(component.config()).read(path):
                given_rows.append(row)
        except RequestError as error:
            assert error.where is not None and re.fullmatch(re.escape(str(path)) + r"(:\d+)?", error.where)
            assert error.what and len(str(error)) < 2000
    assert len(given_rows) <= len(data)
    places = [int(row.where.removeprefix(f"{path}:")) for row in given_rows]
    assert places == sorted(places) and all(1 <= place <= data.count(b"\n") + 1 for place in places)
    for row in given_rows:
        if isinstance(row, BadRow):
            assert row.what and len(row.text) <= TEXT_KEPT and len(row.what) < 2000
        else:
            assert isinstance(row, Row)
            json.dumps(dict(row.columns), allow_nan=False).encode()
            "".join(map(str, row.columns.values())).encode()


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=FILES)
def test_what_is_set_aside_and_what_is_kept_are_all_there_is(tmp_path_factory, ending, data):
    path = tmp_path_factory.getbasetemp() / f"aside{ending}"
    path.write_bytes(data)
    bad = BadRows(skip=True)
    try:
        rows = read_rows(path, bad=bad)
    except RequestError as error:
        assert message(str(error))
        return
    assert bad.seen == len(rows) + len(bad.found) and len(bad.found) <= len(rows)
    folder = tmp_path_factory.getbasetemp()
    if written := bad.publish(folder):
        kept = [json.loads(line) for line in written.read_text(encoding="ascii").splitlines()]
        assert [(each["file"], each["why"]) for each in kept] == [(str(path), each.what) for each in bad.found]
    else:
        assert not bad.found
