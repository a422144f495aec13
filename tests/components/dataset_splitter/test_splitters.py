"""What each splitter promises: proportions, groups that stay whole, sides that do not move, folds that cover all."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.dataset_splitter import settings as kinds
from furrow.components.dataset_splitter.file_split import FileSplitter
from furrow.components.dataset_splitter.k_fold import KFoldSplitter
from furrow.components.errors import RequestError
from furrow.components.fingerprint import fingerprint
from furrow.components.records import Row

NUMBERS = [f"row {number}" for number in range(1000)]


def test_strata_keep_their_proportions_to_within_a_row(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "label": label} for n, label in enumerate("a" * 600 + "b" * 299 + "c" * 101)])
    chosen = Counter(rows[at].columns["label"] for at in evaluated("stratified", rows, 0.1, by="label"))
    assert chosen == {"a": 60, "b": 30, "c": 10}


def test_without_a_column_short_and_long_answers_are_on_both_sides(rows_of, evaluated):
    rows = rows_of([{"prompt": f"{n}?", "completion": "x" * (n % 100 + 1)} for n in range(1000)])
    lengths = [len(rows[at].columns["completion"]) for at in evaluated("stratified", rows, 0.1, bins=10)]
    assert Counter((length - 1) // 10 for length in lengths) == dict.fromkeys(range(10), 10)


def test_the_length_of_an_answer_is_that_of_what_the_assistant_says(rows_of, evaluated):
    short, long = ({"role": "assistant", "content": "x" * size} for size in (1, 100))
    turns = [{"messages": [{"role": "user", "content": f"{n}?"}, (short, long)[n % 10 == 0]]} for n in range(100)]
    rows = rows_of(turns)
    chosen = evaluated("stratified", rows, 0.1, bins=10)
    assert sorted(at % 10 == 0 for at in chosen) == [False] * 9 + [True]


def test_many_numbers_are_binned_and_many_texts_refused(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "score": n / 7, "id": str(n)} for n in range(100)])
    assert Counter(at // 25 for at in evaluated("stratified", rows, 0.2, by="score", bins=4)) == {
        0: 5, 1: 5, 2: 5, 3: 5,
    }  # fmt: skip
    with pytest.raises(RequestError, match="'id' has 100 values in 100 rows, which makes no strata"):
        evaluated("stratified", rows, 0.2, by="id")


def test_a_null_is_a_stratum_and_a_column_that_is_not_there_is_named(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "kind": None if n % 2 else "x"} for n in range(40)])
    assert Counter(at % 2 for at in evaluated("stratified", rows, 0.1, by="kind")) == {0: 2, 1: 2}
    rows[7] = Row({"text": "7", "knd": "x"}, "data.jsonl:8")
    with pytest.raises(RequestError, match=r"data.jsonl:8: column 'kind' is not there\n.*did you mean 'knd'"):
        evaluated("stratified", rows, 0.1, by="kind")


def test_groups_stay_whole_and_as_many_fit_as_are_asked_for(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "page": n // 4} for n in range(100)])
    chosen = evaluated("grouped", rows, 0.2, by="page")
    assert Counter(Counter(rows[at].columns["page"] for at in chosen).values()) == {4: 5}
    large = rows_of([{"text": str(n), "page": n // 40} for n in range(100)])  # 40, 40 and 20 rows
    assert evaluated("grouped", large, 0.1, by="page") == list(range(80, 100))


@pytest.mark.parametrize("kind", ["grouped", "hash", "k_fold", "time"])
def test_a_row_without_the_key_is_named(rows_of, evaluated, kind):
    rows = rows_of([{"text": "a", "key": "1"}, {"text": "b", "key": None}])
    with pytest.raises(RequestError, match=r"data.jsonl:2: column 'key' is null"):
        evaluated(kind, rows, 0.5, by="key")


def test_by_hash_no_row_changes_sides_when_others_come_or_go(rows_of, evaluated):
    before = {NUMBERS[at] for at in evaluated("hash", rows_of(NUMBERS), 0.1)}
    assert 70 <= len(before) <= 130  # 100, give or take three times sqrt(90)
    more = [f"new {number}" for number in range(700)] + NUMBERS[::-1][:600]
    after = {more[at] for at in evaluated("hash", rows_of(more), 0.1)}
    assert after & set(NUMBERS) == before & set(more)


def test_by_hash_of_a_key_only_the_key_decides(rows_of, evaluated):
    rows = rows_of([{"text": f"{n}", "user": n // 10} for n in range(1000)])
    chosen = evaluated("hash", rows, 0.3, by="user")
    assert set(Counter(at // 10 for at in chosen).values()) == {10}
    changed = rows_of([{"text": f"other {n}", "user": n // 10} for n in range(1000)])
    assert evaluated("hash", changed, 0.3, by="user") == chosen


@pytest.mark.parametrize(
    ("times", "latest"),
    [
        (["2024-01-01", "2024-03-01", "2023-12-31", "2024-02-29"], [1]),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:30:00+02:00", "2024-01-01 09:59:00", "2023-01"], [0]),
        ([1700000000, 1600000000, 1800000000.5, 1500000000], [2]),
        (["3", "20", "100", "4"], [2]),
    ],
)
def test_the_latest_rows_are_evaluated_on(rows_of, evaluated, times, latest):
    rows = rows_of([{"text": str(n), "at": time} for n, time in enumerate(times)])
    assert evaluated("time", rows, 0.25, by="at") == latest


def test_rows_of_one_moment_stay_together(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "at": min(n // 3, 4)} for n in range(20)])  # 3, 3, 3, 3 and 8 rows
    assert evaluated("time", rows, 0.1, by="at") == list(range(12, 20))
    rows = rows_of([{"text": str(n), "at": n // 3} for n in range(30)])
    assert evaluated("time", rows, 0.16, by="at") == list(range(24, 30))  # 6 of 30 is nearer than 3


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (["2024-01-01", "31.12.2024"], "data.jsonl:2: column 'at' is '31.12.2024', which is no moment\n.*ISO date"),
        (["2024-01-01", 5], "data.jsonl:2: column 'at' is a number here, and a date in data.jsonl:1"),
        ([1, float("inf")], "data.jsonl:2: column 'at' is inf, which is no moment"),
        ([1, True], "data.jsonl:2: column 'at' is True"),
        ([5, 5, 5], "all rows have the same value in column 'at'"),
    ],
)
def test_what_is_no_moment_is_refused_with_its_place(rows_of, evaluated, values, wrong):
    with pytest.raises(RequestError, match=wrong):
        evaluated("time", rows_of([{"text": str(n), "at": value} for n, value in enumerate(values)]), 0.5, by="at")


def sides(splitter, rows):
    return splitter.evaluated(rows, [fingerprint(row) for row in rows], 0.1), splitter.left_out(rows)


@pytest.mark.parametrize(
    ("column", "settings", "expected"),
    [
        (["train", "validation", "test", "train"], {}, ([1], [2])),
        (["train", "Dev", "test", "training"], {}, ([1], [2])),
        (["train", "test", "test", "train"], {}, ([1, 2], [])),
        (["a", "b", "c", "d"], {"evaluated": ["b"], "left_out": ["d"]}, ([1], [3])),
    ],
)
def test_a_column_says_where_a_row_belongs(rows_of, column, settings, expected):
    from furrow.components.dataset_splitter.file_split import FileSplitter

    rows = rows_of([{"text": str(n), "split": side} for n, side in enumerate(column)])
    assert sides(FileSplitter(kinds.FileConfig.model_validate({k: tuple(v) for k, v in settings.items()})), rows) == (
        expected
    )


def test_a_file_lists_the_rows_to_evaluate_on(tmp_path, rows_of, evaluated):
    (tmp_path / "held_out.txt").write_text("\ufeff17\n\n 3 \nnobody\n")
    rows = rows_of([{"text": f"row {n}", "id": n} for n in range(20)])
    assert evaluated("file", rows, 0.1, by="id", list=str(tmp_path / "held_out.txt")) == [3, 17]


@pytest.mark.parametrize(
    ("column", "settings", "wrong"),
    [
        (["train", "vallidation"], {}, "data.jsonl:2: column 'split' is 'vallidation'.*\n.*did you mean 'validation'"),
        (["train", None], {}, "data.jsonl:2: column 'split' is null"),
        (["train", "x"], {"list": "none.txt"}, "none.txt cannot be read: No such file"),
        (["train", "x"], {"list": "ids.txt"}, "no row has a value of ids.txt in column 'split'\n.*is '17'"),
    ],
)
def test_what_the_file_splitter_does_not_understand_is_refused(
    tmp_path, monkeypatch, rows_of, evaluated, column, settings, wrong
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ids.txt").write_text("17\n")
    with pytest.raises(RequestError, match=wrong):
        evaluated("file", rows_of([{"text": str(n), "split": s} for n, s in enumerate(column)]), 0.1, **settings)


@settings(deadline=None)
@given(st.lists(st.integers(0, 30).map(str), min_size=1, max_size=80), st.integers(2, 6), st.integers(0, 3))
def test_the_folds_are_of_one_size_and_together_all_rows_once(texts, folds, seed):
    rows = [Row({"text": text}, f"data.jsonl:{number}") for number, text in enumerate(texts, 1)]
    prints = [fingerprint(row) for row in rows]
    made = [kinds.KFoldConfig(folds=folds, fold=fold, seed=seed) for fold in range(1, folds + 1)]
    if len(set(texts)) < folds:
        with pytest.raises(RequestError, match=f"{folds} folds cannot be made of {len(set(texts))} different rows"):
            KFoldSplitter(made[0]).evaluated(rows, prints, 0.0)
        return
    parts = [KFoldSplitter(config).evaluated(rows, prints, 0.0) for config in made]
    assert sorted(at for part in parts for at in part) == list(range(len(rows)))
    assert all(parts)
    said = [{texts[at] for at in part} for part in parts]
    assert sum(map(len, said)) == len(set(texts))  # no text is in two folds
    largest = max(Counter(texts).values())
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= largest
    if largest == 1:
        assert max(sizes) - min(sizes) <= 1


def test_folds_keep_groups_whole(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "user": n // 5} for n in range(50)])
    parts = [evaluated("k_fold", rows, folds=5, fold=fold, by="user") for fold in range(1, 6)]
    assert [len(part) for part in parts] == [10] * 5
    assert sum(len({at // 5 for at in part}) for part in parts) == 10


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("random", {}),
        ("stratified", {"by": "kind"}),
        ("grouped", {"by": "kind"}),
        ("hash", {}),
        ("k_fold", {"folds": 4}),
    ],
)
def test_the_seed_decides_and_nothing_else(rows_of, evaluated, kind, settings):
    rows = rows_of([{"text": str(n), "kind": n % 12} for n in range(240)])
    chosen = [evaluated(kind, rows, 0.25, seed=seed, **settings) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert 0.15 < len(chosen[0]) / 240 < 0.35


@pytest.mark.parametrize(
    "wrong", [{"folds": 1}, {"folds": 5, "fold": 6}, {"fold": 0}, {"list": "x", "evaluated": ["a"]}]
)
def test_settings_that_contradict_themselves_are_refused(evaluated, rows_of, wrong):
    with pytest.raises(ValueError):
        evaluated("file" if "list" in wrong else "k_fold", rows_of(["a", "b"]), **wrong)


def test_a_column_of_any_number_of_values_says_what_is_evaluated_where_the_values_are_named(rows_of):
    rows = rows_of([{"text": str(n), "page": f"Page {n // 2}"} for n in range(200)])
    config = kinds.FileConfig(by="page", evaluated=("page 3", "page 90"), left_out=("page 4",))
    splitter = FileSplitter(config)
    assert splitter.evaluated(rows, [], 0) == [6, 7, 180, 181] and splitter.left_out(rows) == [8, 9]


def test_a_number_that_no_float_holds_ends_no_split(rows_of, evaluated):
    rows = rows_of([{"text": str(n), "size": 10**400 if n == 3 else n % 4} for n in range(40)])
    assert len(evaluated("stratified", rows, 0.2, by="size")) == 8
