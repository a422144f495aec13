"""What events say to a person, on one line."""

from __future__ import annotations

from furrow.components.events import DataPrepared
from furrow.screen.sentences import describe

COUNTS = {
    "train_rows": 1200, "eval_rows": 100, "train_tokens": 40_000, "learned_tokens": 10_000, "truncated_rows": 7,
    "dropped_rows": 2, "duplicate_rows": 3,
}  # fmt: skip


def test_the_short_form_says_rows_lengths_shares_and_what_was_cut():
    event = DataPrepared(**COUNTS, median_tokens=30, longest_tokens=128, max_length=128, cut_answers=5)
    assert describe(event) == (
        "1,200 rows to train on, 100 to evaluate; 40,000 tokens, median 30 and at most 128 of 128 a row, 10,000 "
        "learned (25%); 2 rows dropped, 7 cut (5 of the answers), 3 duplicates dropped"
    )


def test_rows_of_a_mix_are_not_said_to_be_all_learned():
    assert describe(DataPrepared(**COUNTS, sets=3)).startswith("1,200 rows of 3 sets to draw from, 100 to evaluate")


def test_what_is_not_known_is_left_out():
    event = DataPrepared(**{**COUNTS, "learned_tokens": 0, "truncated_rows": 0})
    assert describe(event) == (
        "1,200 rows to train on, 100 to evaluate; 40,000 tokens, 0 learned (0%); 2 rows dropped, 0 cut, "
        "3 duplicates dropped"
    )
