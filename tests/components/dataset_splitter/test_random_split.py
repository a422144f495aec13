"""The random split: exact, repeatable, steady when rows come and go, and equal rows on one side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.components.dataset_splitter.random_split import RandomSplitter
from furrow.components.dataset_splitter.settings import RandomSplitConfig
from furrow.components.fingerprint import fingerprint
from furrow.components.records import Row


def split(texts, share, seed=42):
    rows = [Row({"text": text}, f"data.jsonl:{number}") for number, text in enumerate(texts, 1)]
    splitter = RandomSplitter(RandomSplitConfig(seed=seed))
    chosen = splitter.evaluated(rows, [fingerprint(row) for row in rows], share)
    assert chosen == sorted(set(chosen))
    texts = list(texts)
    return [text for at, text in enumerate(texts) if at not in set(chosen)], [texts[at] for at in chosen]


@pytest.mark.parametrize(
    ("share", "count"), [(0.1, 100), (0.05, 50), (0.155, 155), (0.0155, 16), (0.3, 300), (0.0001, 1), (0.0, 0)]
)
def test_the_share_is_exact_and_at_least_one(share, count):
    train, evaluation = split(list(map(str, range(1000))), share)
    assert (len(train), len(evaluation)) == (1000 - count, count)


def test_too_few_different_rows_are_all_learned():
    assert split([], 0.5) == ([], [])
    assert split(["a"], 0.5) == (["a"], [])
    assert split(["a", "a", "a"], 0.5) == (["a", "a", "a"], [])
    assert [len(side) for side in split(["a", "b"], 0.01)] == [1, 1]


def test_the_split_is_the_same_every_time_and_another_with_another_seed():
    texts = list(map(str, range(200)))
    assert split(texts, 0.1) == split(texts, 0.1)
    assert split(texts, 0.1, seed=1) != split(texts, 0.1, seed=2)
    # pinned: a change of the hash would put rows that a model has learned into its next evaluation
    assert split(list(map(str, range(20))), 0.2)[1] == PINNED


PINNED = ["2", "7", "12", "15"]


def test_adding_or_moving_rows_leaves_the_others_where_they_were():
    texts = [str(number) for number in range(500)]
    _, before = split(texts, 0.1)
    _, moved = split(texts[::-1], 0.1)
    _, after = split([*texts, *(f"new {number}" for number in range(50))], 0.1)
    assert set(moved) == set(before)
    kept = set(after) & set(texts)
    assert len(set(before) - kept) <= 10 and kept - set(before) == set()


@given(st.lists(st.integers(0, 15).map(str), max_size=60), st.floats(0.01, 0.5), st.integers(0, 5))
def test_equal_rows_stay_together(texts, share, seed):
    train, evaluation = split(texts, share, seed)
    assert not set(train) & set(evaluation)
    assert bool(evaluation) == (len(set(texts)) >= 2)
    assert len(train) > 0 or not texts
