"""From a strategy's dataset to clean rows on two sides."""

import hashlib
import json

import pytest

from furrow.components.errors import RequestError
from furrow.components.events import Noted, Warned
from furrow.stages.data.rows import load_rows
from furrow.strategies.files import load


@pytest.fixture
def rows_of(tmp_path, monkeypatch):
    """Loads the rows of a strategy over these files: (rows, messages of the warnings, of the notes)."""
    monkeypatch.chdir(tmp_path)

    def rows_of(files, **blocks):
        for name, data in files.items():
            text = data if isinstance(data, str) else "".join(json.dumps(row) + "\n" for row in data)
            (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / "strategies.yaml").write_text(json.dumps({"s": blocks}))
        events = []
        rows = load_rows(load("s", tmp_path / "strategies.yaml"), events.append)
        return rows, *([e.message for e in events if isinstance(e, kind)] for kind in (Warned, Noted))

    return rows_of


def pair(question, answer="An answer."):
    return {"prompt": question, "completion": answer}


def questions(rows):
    return [row.columns["prompt"] for row in rows]


def test_the_reader_is_chosen_by_the_ending(rows_of):
    files = {
        "a.jsonl": [pair("1"), pair("2")],
        "b.json": json.dumps([pair("3")]),
        "c.csv": "prompt,completion\n4,x\n",
        "d.TSV": "prompt\tcompletion\n5\tx\n",
    }
    for name, expected in zip(files, (["1", "2"], ["3"], ["4"], ["5"]), strict=True):
        rows, _, _ = rows_of(files, dataset={"train_file": name})
        assert questions(rows.train) == expected
    rows, _, _ = rows_of({"e.txt": [pair("6")]}, dataset={"train_file": "e.txt", "reader": {"type": "jsonl"}})
    assert questions(rows.train) == ["6"]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("e.xyz", "does not say how to read it\n.*known: .jsonl"),
        ("none.jsonl", "there is no file none.jsonl .looked in"),
        (None, "no training data is named\n.*--train-dataset"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(rows_of, name, wrong):
    with pytest.raises(RequestError, match=wrong):
        rows_of({"e.xyz": "x"}, dataset={"train_file": name} if name else {})


def test_an_eval_file_is_taken_whole_and_rows_on_both_sides_are_told(rows_of):
    files = {"t.jsonl": [pair(str(n)) for n in range(20)], "e.jsonl": [pair("3"), pair("new"), pair("5")]}
    rows, warnings, _ = rows_of(files, dataset={"train_file": "t.jsonl", "eval_file": "e.jsonl", "eval_split": 0.5})
    assert (len(rows.train), questions(rows.evaluation)) == (20, ["3", "new", "5"])
    assert warnings == ["2 of 3 evaluation rows are learned too: e.jsonl:1, 3"]
    assert rows.files["eval_file"] == {
        "path": "e.jsonl",
        "sha256": hashlib.sha256("".join(json.dumps(row) + "\n" for row in files["e.jsonl"]).encode()).hexdigest(),
    }


def test_a_split_is_by_share_and_leaks_nothing(rows_of):
    files = {"t.jsonl": [pair(str(n % 40)) for n in range(80)]}
    rows, warnings, _ = rows_of(files, dataset={"train_file": "t.jsonl", "eval_split": 0.2})
    assert (len(rows.train), len(rows.evaluation), warnings) == (64, 16, [])
    again, _, _ = rows_of(
        files, dataset={"train_file": "t.jsonl", "eval_split": 0.2, "splitter": {"type": "random", "seed": 7}}
    )
    assert questions(again.evaluation) != questions(rows.evaluation)


def test_duplicates_are_dropped_when_asked_and_said_when_not(rows_of):
    files = {"t.jsonl": [pair("1"), pair("2"), {"id": 9, **pair("1")}, pair("2")]}
    kept, _, notes = rows_of(files, dataset={"train_file": "t.jsonl"})
    assert (questions(kept.train), kept.duplicates) == (["1", "2", "1", "2"], 0)
    assert notes == [
        "2 rows are equal to an earlier one (t.jsonl:3, 4): kept; data_preprocessing.remove_duplicates would drop them"
    ]
    rows, _, notes = rows_of(files, dataset={"train_file": "t.jsonl"}, data_preprocessing={"remove_duplicates": True})
    assert (questions(rows.train), rows.duplicates) == (["1", "2"], 2)
    assert notes == ["2 rows are equal to an earlier one (t.jsonl:3, 4): dropped"]


def test_what_filter_quality_drops_is_listed_with_its_reason(rows_of):
    files = {"t.jsonl": [pair("1"), pair("2", ""), pair("3", "3"), pair("4", " ")]}
    unfiltered, _, _ = rows_of(files, dataset={"train_file": "t.jsonl"})
    assert len(unfiltered.train) == 4
    rows, warnings, _ = rows_of(files, dataset={"train_file": "t.jsonl"}, data_preprocessing={"filter_quality": True})
    assert questions(rows.train) == ["1"]
    assert [(each.where, each.reason) for each in rows.dropped] == [
        ("t.jsonl:2", "the answer is empty"),
        ("t.jsonl:3", "the answer repeats the question"),
        ("t.jsonl:4", "the answer is empty"),
    ]
    assert warnings == [
        "2 rows dropped by filter_quality.empty, the answer is empty: t.jsonl:2, 4",
        "1 row dropped by filter_quality.repeated_question, the answer repeats the question: t.jsonl:3",
    ]


def test_a_file_of_which_nothing_is_left_is_refused(rows_of):
    with pytest.raises(RequestError, match="no row is left"):
        rows_of(
            {"t.jsonl": [pair("1", "")]}, dataset={"train_file": "t.jsonl"}, data_preprocessing={"filter_quality": True}
        )


def test_a_split_that_leaves_nothing_to_evaluate_on_is_told(rows_of):
    rows, warnings, _ = rows_of(
        {"t.jsonl": [pair("1"), pair("1")]}, dataset={"train_file": "t.jsonl", "eval_split": 0.1}
    )
    assert not len(rows.evaluation) and "nothing to evaluate on" in warnings[0]
