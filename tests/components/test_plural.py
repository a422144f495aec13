"""Counts with their nouns."""

from furrow.components.plural import plural


def test_one_is_said_as_one_and_all_other_counts_as_several():
    assert [plural(count, "row") for count in (0, 1, 2, 1200)] == ["0 rows", "1 row", "2 rows", "1,200 rows"]
    assert [plural(count, "row is", "rows are") for count in (1, 2)] == ["1 row is", "2 rows are"]
