"""When two rows are equal."""

from furrow.components.fingerprint import fingerprint
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
