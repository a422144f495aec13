"""Whatever a splitter says, a row is on one side only; what is other than was asked is said."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Noted, Warned
from furrow.components.records import Row
from furrow.components.stored.rows import RowWriter
from furrow.stages.data import splitting
from furrow.stages.data.split_advice import advice, odd
from furrow.stages.data.splitting import sides_of
from furrow.strategies.schema import SPLITTER


@pytest.fixture
def stored(tmp_path_factory):
    """stored(columns of the rows, sources) -> StoredRows."""

    def stored(columns, sources=()):
        writer = RowWriter(tmp_path_factory.mktemp("rows"))
        for number, each in enumerate(columns):
            source = sources[number] if sources else 0
            writer.append(Row(each, f"{'abc'[source]}.jsonl:{number + 1}", source))
        return writer.finish()

    return stored


@pytest.fixture
def plugin(monkeypatch):
    """A splitter of another package that gives what it is told to."""

    def plugin(given, **attributes):
        splitter = SimpleNamespace(evaluated=given if callable(given) else lambda *asked: given, **attributes)
        monkeypatch.setattr(splitting, "factory", lambda component: lambda config: splitter)
        component = SimpleNamespace(factory="others.splitter:Splitter")
        return SimpleNamespace(type="theirs", component=component, config=SimpleNamespace())

    return plugin


def split(rows, splitter, share=0.2):
    events = []
    wired = SPLITTER.wire(splitter) if isinstance(splitter, dict) else splitter
    splits = [(wired, share)] * (int(rows.sources.max(initial=0)) + 1)
    sides = sides_of(rows, splits, events.append)
    return sides, [event.message for event in events if isinstance(event, Noted | Warned)]


EVERY = [
    {"type": "random"},
    {"type": "stratified", "by": "kind"},
    {"type": "stratified"},
    {"type": "grouped", "by": "user"},
    {"type": "hash"},
    {"type": "hash", "by": "user"},
    {"type": "time", "by": "at"},
    {"type": "file", "by": "side"},
    {"type": "k_fold", "folds": 2},
    {"type": "k_fold", "folds": 2, "by": "user"},
]
ROW = st.fixed_dictionaries({
    "text": st.sampled_from(["a", "b", "cc", "dddd", "eeeeee"]),
    "kind": st.sampled_from([1, 2]),
    "user": st.sampled_from(["x", "y", "z"]),
    "at": st.integers(0, 5),
    "side": st.sampled_from(["train", "validation", "test"]),
    "id": st.integers(0, 99),
})  # fmt: skip


@pytest.mark.parametrize("splitter", EVERY, ids=str)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=2, max_size=40), sources=st.data())
def test_no_row_is_learned_and_measured_on_whatever_the_splitter(stored, splitter, rows, sources):
    numbers = [sources.draw(st.integers(0, 1)) for _ in rows]
    kept = stored(rows, numbers)
    try:
        sides, _ = split(kept, splitter, 0.3)
    except RequestError:  # two folds of rows that are all the same, one moment, nothing left to learn
        return
    prints = list(kept.prints)
    learned, measured = ({prints[at] for at in side} for side in (sides.train, sides.evaluation))
    assert not learned & measured
    every = np.concatenate(sides)
    assert sorted(every.tolist()) == list(range(len(rows)))
    assert all(side.tolist() == sorted(side.tolist()) for side in sides)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=3, max_size=30), chosen=st.sets(st.integers(0, 29)))
def test_what_a_splitter_puts_on_both_sides_is_learned_and_said(stored, plugin, rows, chosen):
    kept, chosen = stored(rows), sorted(at for at in chosen if at < len(rows))
    if len(chosen) == len(rows):
        chosen = chosen[1:]
    sides, said = split(kept, plugin(chosen))
    prints = list(kept.prints)
    learned = {prints[at] for at in range(len(rows)) if at not in chosen}
    expected = [at for at in chosen if prints[at] not in learned]
    assert sides.evaluation.tolist() == expected
    moved = len(chosen) - len(expected)
    told = f"{moved} row{'s' * (moved > 1)} that the splitter 'theirs' would measure on"
    assert any(told in each for each in said) == bool(moved)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ([0, 40], "the splitter 'theirs' .a component of another package. gave row 40 of 40 .the first is 0."),
        ([-1], "gave row -1 of 40"),
        ([0.5], "gave list where numbers of rows are wanted"),
        (["a"], "gave list where numbers"),
        ([True, False], "gave list where numbers"),
        ([[1], [2, 3]], "gave list where numbers"),
        (None, "gave NoneType where numbers"),
        (7, "gave int where numbers"),
    ],
)
def test_rubbish_of_a_splitter_is_refused_by_its_name(stored, plugin, given, wrong):
    with pytest.raises(FurrowError, match=wrong):
        split(stored([{"text": str(number)} for number in range(40)]), plugin(given))


def test_doubled_and_unordered_numbers_do_no_harm(stored, plugin):
    sides, _ = split(stored([{"text": str(number)} for number in range(40)]), plugin([7, 3, 7, 30]))
    assert sides.evaluation.tolist() == [3, 7, 30]
    sides, _ = split(stored([{"text": str(number)} for number in range(40)]), plugin(np.array([2, 1], dtype=np.uint8)))
    assert sides.evaluation.tolist() == [1, 2]


def test_what_is_left_out_is_not_measured_on_whatever_else_is_said_of_it(stored, plugin):
    rows = stored([{"text": str(number)} for number in range(40)])
    sides, _ = split(rows, plugin([1, 2, 3], left_out=lambda rows: [3, 4]))
    assert [side.tolist() for side in sides[1:]] == [[1, 2], [3, 4]]


def test_a_split_that_leaves_nothing_to_learn_is_refused(stored, plugin):
    with pytest.raises(RequestError, match="the splitter 'theirs' leaves no row to learn"):
        split(stored([{"text": "a"}, {"text": "b"}]), plugin([0, 1]))


def test_each_set_of_a_mix_is_split_by_itself(stored):
    rows = stored([{"text": str(n)} for n in range(300)], [0] * 200 + [1] * 100)
    sides, _ = split(rows, {"type": "random"}, 0.1)
    assert np.bincount(rows.sources[sides.evaluation]).tolist() == [20, 10]
    alone, _ = split(stored([{"text": str(n)} for n in range(200)]), {"type": "random"}, 0.1)
    assert sides.evaluation[:20].tolist() == alone.evaluation.tolist()


def test_each_set_of_a_mix_may_have_a_splitter_and_a_share_of_its_own(stored):
    rows = stored([{"text": str(n), "user": n // 5} for n in range(300)], [0] * 200 + [1] * 60 + [2] * 40)
    splits = [(SPLITTER.wire({"type": "grouped", "by": "user"}), 0.1), (SPLITTER.wire("random"), 0.0)]
    sides = sides_of(rows, [*splits, (SPLITTER.wire({"type": "k_fold", "folds": 4}), 0.0)], lambda event: None)
    assert np.bincount(rows.sources[sides.evaluation], minlength=3).tolist() == [20, 0, 10]
    users = {rows[int(at)].columns["user"] for at in sides.evaluation if rows.sources[at] == 0}
    assert len(users) == 4


def test_rows_that_two_sets_of_a_mix_share_are_on_one_side(stored):
    shared = [{"text": str(n)} for n in range(50)]
    rows = stored([*shared, *({"text": str(n)} for n in range(25, 125))], [0] * 50 + [1] * 100)
    sides, _ = split(rows, {"type": "random"}, 0.3)
    prints = list(rows.prints)
    assert not {prints[at] for at in sides.train} & {prints[at] for at in sides.evaluation}


def test_what_is_left_out_is_neither_and_is_said(stored):
    rows = stored([{"text": str(n), "split": side} for n, side in enumerate(["train", "dev", "test"] * 20)])
    sides, said = split(rows, {"type": "file"})
    assert [len(side) for side in sides] == [20, 20, 20]
    assert said == ["20 rows are neither learned nor measured on: a.jsonl:3, 6, 9, 12, 15 and 15 more"]


def test_a_share_that_is_far_from_the_one_asked_for_is_said(stored):
    rows = stored([{"text": str(n), "user": n // 50} for n in range(200)])
    _, said = split(rows, {"type": "grouped", "by": "user"}, 0.1)
    assert said == [
        "25.0% of the rows are kept to evaluate on, where eval_split is 10.0%: the splitter 'grouped' comes no nearer"
    ]
    assert split(rows, {"type": "random"}, 0.1)[1] == []


@pytest.mark.parametrize(
    ("texts", "splitter", "why"),
    [
        ("aa", {"type": "random"}, "there are no two different rows"),
        ("abcdef", {"type": "hash", "seed": 3}, "the splitter 'hash' chooses no row"),
    ],
)
def test_a_split_with_nothing_to_evaluate_on_says_why(stored, texts, splitter, why):
    sides, said = split(stored([{"text": text} for text in texts]), splitter, 0.001)
    assert (len(sides.evaluation), said) == (0, [f"the split leaves nothing to evaluate on: {why}"])


@pytest.mark.parametrize(
    ("rows", "ratio", "folds"),
    [(20, "95/5", 5), (100, "80/20", 0), (1_000, "85/15", 0), (5_000, "90/10", 0), (100_000, "95/5", 0)],
)
def test_the_ratio_that_suits_the_size_is_of_the_guides_table(rows, ratio, folds):
    assert (advice(rows).ratio, advice(rows).folds) == (ratio, folds)
    assert advice(rows).ratio in advice(rows).told


def test_too_few_and_too_many_rows_to_measure_on_are_told():
    assert odd(60, 6) == (
        "6 rows are few to measure on: of 60 rows the usual is a k_fold splitter with 5 folds, or 95/5 "
        "(a few rows measure next to nothing, and each is missed in training)"
    )
    assert odd(200, 20) is None
    assert odd(60_000, 18_000).startswith("18,000 rows are many to measure on: of 60,000 rows the usual is 95/5")
    assert odd(60_000, 6_000) is None


def test_a_splitter_with_a_share_of_its_own_needs_no_eval_split(tmp_path):
    from furrow.stages.data.rows import load_rows
    from furrow.strategies.files import load

    data, file = tmp_path / "t.jsonl", tmp_path / "s.yaml"
    data.write_text("".join(json.dumps({"prompt": str(n), "completion": "x"}) + "\n" for n in range(100)))
    measured = []
    for fold in range(1, 5):
        splitter = {"type": "k_fold", "folds": 4, "fold": fold}
        arguments = {"eval_strategy": "epoch"}
        blocks = {"dataset": {"train_file": str(data), "splitter": splitter}, "training_args": arguments}
        file.write_text(json.dumps({"s": blocks}))
        loaded = load("s", file)
        assert loaded.strategy.dataset.eval_split == 0
        assert not [note for note in loaded.notes if "eval" in note.message]
        rows = load_rows(loaded, lambda event: None)
        assert (len(rows.train), len(rows.evaluation)) == (75, 25)
        measured += [row.where for row in rows.evaluation]
    assert len(set(measured)) == 100


def test_a_list_of_ids_that_has_changed_is_known_by_its_print(tmp_path):
    from furrow.strategies.schema import DatasetConfig

    ids, found = tmp_path / "ids.txt", []
    for text in ("1\n2\n", "1\n\n2", "1\n3\n"):
        ids.write_text(text)
        config = DatasetConfig(train_file="t.jsonl", splitter=SPLITTER.wire({"type": "file", "list": str(ids)}))
        found.append(splitting.lists_of(config))
    assert found[0] == found[1] != found[2]
    assert found[0]["splitter.list"]["rows"] == 2
    assert splitting.lists_of(DatasetConfig(train_file="t.jsonl")) == {}
