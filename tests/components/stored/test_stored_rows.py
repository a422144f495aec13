"""Rows on disk are the rows that were written, read in any way."""

import numpy as np
import pytest

from furrow.components.errors import RequestError
from furrow.components.fingerprint import fingerprint
from furrow.components.records import Row
from furrow.components.stored import rows as stored_rows
from furrow.components.stored.rows import Prints, RowWriter, StoredRows, first_of_equal


def written(folder, rows):
    writer = RowWriter(folder)
    for row in rows:
        writer.append(row)
    return writer.finish()


@pytest.fixture
def given():
    return [Row({"prompt": f"Ü{number}" * (number % 50), "n": None}, f"f.jsonl:{number + 1}") for number in range(3000)]


def test_rows_come_back_in_order_by_number_and_in_views(tmp_path, given):
    stored = written(tmp_path, given)
    assert list(stored) == given
    assert [stored[place] for place in (0, 2999, -1)] == [given[place] for place in (0, 2999, -1)]
    assert list(stored[10:2000:7]) == given[10:2000:7]
    assert list(stored.only([5, 2999, 0])) == [given[5], given[2999], given[0]]
    assert list(stored.only([5, 2999, 0])[1:]) == [given[2999], given[0]]


def test_rows_are_found_again_in_their_folder(tmp_path, given):
    written(tmp_path, given)
    assert list(StoredRows.load(tmp_path)) == given


def test_rows_know_their_number_source_origin_and_print(tmp_path):
    rows = [Row({"text": "a"}, "f:1", 2), Row({"text": "b"}, "f:2", 0, "paraphrase"), Row({"text": "a"}, "f:3", 1)]
    stored = written(tmp_path, rows)
    assert [(row.number, row.source, row.origin) for row in stored] == [(0, 2, ""), (1, 0, "paraphrase"), (2, 1, "")]
    assert stored.sources.tolist() == [2, 0, 1]
    assert list(stored.prints) == [fingerprint(row) for row in rows]
    assert stored.prints[1] == fingerprint(rows[1])
    assert stored.prints.first_of_each().tolist() == [0, 1, 0]


def test_what_is_written_can_be_read_before_more_is_written(tmp_path):
    writer = RowWriter(tmp_path)
    writer.append(Row({"text": "a"}, "f:1"))
    early = writer.so_far()
    writer.append(Row({"text": "b"}, "f:2"))
    assert [row.columns["text"] for row in early] == ["a"]
    assert [row.columns["text"] for row in writer.finish()] == ["a", "b"]


def test_a_value_that_json_does_not_have_is_named_with_its_place(tmp_path):
    with pytest.raises(RequestError, match="column 'when'") as caught:
        RowWriter(tmp_path).append(Row({"text": "a", "when": {1, 2}}, "f:9"))
    assert caught.value.where == "f:9"


def test_no_rows_are_no_rows(tmp_path):
    assert list(written(tmp_path, [])) == []
    assert len(StoredRows.load(tmp_path)) == 0


def test_the_first_of_equal_ones_is_found_across_pieces(monkeypatch):
    values = np.random.default_rng(0).integers(0, 60, 1000).astype(np.uint64)
    expected = [values.tolist().index(value) for value in values.tolist()]
    for piece in (1, 7, 1000, 1 << 16):
        monkeypatch.setattr(stored_rows, "_PIECE", piece)
        assert first_of_equal(values).tolist() == expected
    assert first_of_equal(np.zeros(0, dtype=np.uint64)).tolist() == []


def test_prints_that_are_among_others_are_found(monkeypatch):
    monkeypatch.setattr(stored_rows, "_PIECE", 3)
    few, many = (
        Prints(np.array(pairs, dtype=np.uint64))
        for pairs in ([[1, 2], [3, 4], [1, 2], [5, 5]], [[9, 9], [5, 5], [2, 1], [0, 0], [1, 2]])
    )
    assert few.are_in(many).tolist() == [True, False, True, True]
    nothing = Prints(np.zeros((0, 2), dtype=np.uint64))
    assert nothing.are_in(many).tolist() == [] and few.are_in(nothing).tolist() == [False] * 4
