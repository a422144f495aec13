"""When two rows are equal."""

import datetime

import pytest

from furrow.components.errors import RequestError
from furrow.components.fingerprint import canonical, fingerprint
from furrow.components.records import Row


def same(left, right):
    return fingerprint(Row(left, "a:1")) == fingerprint(Row(right, "b:2"))


def test_order_of_columns_place_numbering_and_nulls_make_no_difference():
    assert same({"prompt": "q", "completion": "a"}, {"completion": "a", "prompt": "q"})
    assert same({"id": 1, "prompt": "q", "system": None}, {"id": 2, "prompt": "q"})


def test_any_other_difference_makes_two_rows():
    assert not same({"prompt": "q"}, {"prompt": "q "})
    assert not same({"prompt": "q"}, {"input": "q"})
    assert not same({"a": "1"}, {"a": 1})
    assert not same({"a": "x", "b": "yz"}, {"a": "xy", "b": "z"})


@pytest.mark.parametrize(
    ("value", "kind"),
    [(datetime.date(2020, 1, 1), "date"), ([{"a": b"x"}], "a list")],
)
def test_what_json_does_not_have_is_refused_by_file_and_line(value, kind):
    with pytest.raises(RequestError, match=rf"^rows\.db:7: column 'when' is {kind}, which JSON does not have"):
        canonical(Row({"text": "t", "when": value}, "rows.db:7"))


def test_names_of_columns_that_are_not_all_text_are_refused():
    with pytest.raises(RequestError, match=r"^rows\.db:7: the name of a column is no text"):
        canonical(Row({"text": "t", 2: "x"}, "rows.db:7"))
