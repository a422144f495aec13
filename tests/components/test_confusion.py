"""Accuracy and F1 from a confusion matrix, against values computed by hand."""

from __future__ import annotations

import pytest

from furrow.components.confusion import accuracy, f1_by_class, macro_f1

CATS_DOGS_BIRDS = [[5, 3, 0], [2, 8, 2], [0, 1, 4]]
"""25 rows: of 8 cats 5 are found, of 12 dogs 8, of 5 birds 4; 7 are called cats, 12 dogs, 6 birds."""


def test_accuracy_is_the_diagonal():
    assert accuracy(CATS_DOGS_BIRDS) == 17 / 25


def test_f1_is_the_harmonic_mean_of_precision_and_recall():
    precision, recall = 5 / 7, 5 / 8
    assert f1_by_class(CATS_DOGS_BIRDS)[0] == pytest.approx(2 * precision * recall / (precision + recall))
    assert f1_by_class(CATS_DOGS_BIRDS) == pytest.approx([10 / 15, 16 / 24, 8 / 11])
    assert macro_f1(CATS_DOGS_BIRDS) == pytest.approx((2 / 3 + 2 / 3 + 8 / 11) / 3)


def test_a_rare_class_weighs_as_much_as_a_common_one():
    assert accuracy([[99, 0], [1, 0]]) == 0.99
    assert macro_f1([[99, 0], [1, 0]]) == pytest.approx(198 / 199 / 2)


def test_a_class_that_neither_occurs_nor_is_predicted_has_no_f1_and_one_that_is_never_found_has_zero():
    assert f1_by_class([[1, 0, 1], [0, 0, 0], [2, 0, 0]]) == pytest.approx([0.4, None, 0.0])
    assert macro_f1([[1, 0, 1], [0, 0, 0], [2, 0, 0]]) == pytest.approx(0.2)


def test_without_rows_everything_is_zero():
    assert accuracy([[0, 0], [0, 0]]) == macro_f1([[0, 0], [0, 0]]) == 0
