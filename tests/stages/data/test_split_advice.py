"""What is said of splits that do not suit the size."""

import pytest

from furrow.stages.data.split_advice import advice, odd


@pytest.mark.parametrize(("rows", "folds"), [(2, 0), (4, 0), (5, 5), (99, 5), (100, 0)])
def test_folds_are_advised_where_each_has_a_row(rows, folds):
    assert advice(rows).folds == folds
    assert ("folds" in (odd(rows, 1) or "")) == bool(folds)


def test_one_row_is_told_as_one():
    assert (odd(12, 1) or "").startswith("1 row is few to measure on: of 12 rows")
