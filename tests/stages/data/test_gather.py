"""Files become rows on disk, each from its set, its text as the strategy wants it."""

import datetime
import json

import pytest

from furrow.components.errors import RequestError
from furrow.components.events import LayoutsRecognised
from furrow.components.records import Row
from furrow.stages.data.gather import prefixed
from furrow.stages.data.rows import Rows, leaked, load_rows
from furrow.strategies.files import load


@pytest.fixture
def gather(tmp_path, monkeypatch):
    """Loads the rows of a strategy over these files; returns them with the events."""
    monkeypatch.chdir(tmp_path)

    def gather(files, folder=None, **blocks):
        for name, rows in files.items():
            (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        (tmp_path / "strategies.yaml").write_text(json.dumps({"s": blocks}))
        events = []
        if folder is not None:
            folder.mkdir()
        return load_rows(load("s", tmp_path / "strategies.yaml"), events.append, folder), events

    return gather


def pair(question, answer="An answer."):
    return {"prompt": question, "completion": answer}


def test_every_row_of_a_mix_knows_its_set_and_has_its_prefix(gather):
    files = {"a.jsonl": [pair("1"), pair("2")], "b.jsonl": [{"messages": turns("3")}], "e.jsonl": [pair("4")]}
    mix = [{"file": "a.jsonl"}, {"file": "b.jsonl", "prefix": "task: "}]
    rows, events = gather(files, dataset={"mix": mix, "eval_file": "e.jsonl"})
    assert [(row.where, row.source) for row in rows.train] == [("a.jsonl:1", 0), ("a.jsonl:2", 0), ("b.jsonl:1", 1)]
    assert rows.train[2].columns["messages"][0]["content"] == "task: 3"
    assert [(row.where, row.source) for row in rows.evaluation] == [("e.jsonl:1", 2)]
    assert list(rows.files) == list(rows.prints) == ["mix.0.file", "mix.1.file", "eval_file"]
    assert [event.file for event in events if isinstance(event, LayoutsRecognised)] == ["a.jsonl", "b.jsonl", "e.jsonl"]


def turns(question):
    return [{"role": "user", "content": question}, {"role": "assistant", "content": "An answer."}]


@pytest.mark.parametrize(
    ("columns", "changed"),
    [
        ({"instruction": "Do", "input": "x", "output": "y"}, {"instruction": "> Do"}),
        ({"instruction": "", "input": "x", "output": "y"}, {"input": "> x"}),
        ({"text": "plain"}, {"text": "> plain"}),
        ({"prompt": [{"role": "user", "content": "Q"}]}, {"prompt": [{"role": "user", "content": "> Q"}]}),
    ],
)
def test_a_prefix_stands_before_what_is_asked(columns, changed):
    assert prefixed(Row(columns, "f:1"), "> ").columns == {**columns, **changed}


def test_a_prefix_stands_before_the_first_question_of_a_conversation():
    said = [{"from": "system", "value": "S"}, {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    found = prefixed(Row({"conversations": said}, "f:1"), "> ").columns["conversations"]
    assert [turn["value"] for turn in found] == ["S", "> Q", "A"]


def test_text_is_normalised_wherever_it_stands_and_only_if_asked(gather):
    apart = "e\u0301"  # e and an acute accent: two characters that look like one
    row = {"messages": [{"role": "user", "content": apart}, {"role": "assistant", "content": "\ufb01n"}]}
    for form, expected in ((None, [apart, "\ufb01n"]), ("NFC", ["\u00e9", "\ufb01n"]), ("NFKC", ["\u00e9", "fin"])):
        preprocessing = {} if form is None else {"unicode_normalization": form}
        rows, _ = gather({"a.jsonl": [row]}, dataset={"train_file": "a.jsonl"}, data_preprocessing=preprocessing)
        assert [turn["content"] for turn in rows.train[0].columns["messages"]] == expected


def test_rows_that_are_saved_are_the_same_when_they_are_loaded(gather, tmp_path):
    given = [pair(str(number % 40), "" if number == 7 else "An answer.") for number in range(60)]
    rows, _ = gather(
        {"a.jsonl": given},
        folder=tmp_path / "kept",
        dataset={"train_file": "a.jsonl", "eval_split": 0.2},
        data_preprocessing={"filter_quality": True, "remove_duplicates": True},
    )
    rows.save(tmp_path / "kept")
    again = Rows.load(tmp_path / "kept")
    assert list(again.train) == list(rows.train) and list(again.evaluation) == list(rows.evaluation)
    assert list(again.dropped) == list(rows.dropped) and again.dropped.counts == rows.dropped.counts
    assert (again.flawed, again.duplicates, len(again.train), len(again.evaluation)) == (1, 19, 32, 8)
    assert (again.files, again.prints) == (rows.files, rows.prints)


def test_what_is_dropped_lies_in_a_file_with_its_reason(gather, tmp_path):
    rows, _ = gather(
        {"a.jsonl": [pair("1"), pair("2", ""), pair("1")]},
        dataset={"train_file": "a.jsonl"},
        data_preprocessing={"filter_quality": True, "remove_duplicates": True},
    )
    file = rows.dropped.publish(tmp_path / "run")
    found = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(each["where"], each["row"]["prompt"]) for each in found] == [("a.jsonl:2", "2"), ("a.jsonl:3", "1")]
    assert found[0]["reason"] == "the answer is empty" and found[1]["rule"] == "remove_duplicates"
    clean, _ = gather({"a.jsonl": [pair("1")]}, dataset={"train_file": "a.jsonl"})
    assert clean.dropped.publish(tmp_path / "run") is None and not file.exists()


def test_a_prefix_stands_in_both_answers_of_a_pair_that_are_whole_conversations():
    columns = {"chosen": turns("Q"), "rejected": turns("Q")}
    found = prefixed(Row(columns, "f:1"), "> ").columns
    assert [found[name][0]["content"] for name in columns] == ["> Q", "> Q"]


def test_of_a_question_in_parts_the_first_text_has_the_prefix():
    parts = [{"type": "image"}, {"type": "text", "text": "Q"}]
    [turn, _] = prefixed(Row({"messages": [{"role": "user", "content": parts}, turns("")[1]]}, "f:1"), "> ").columns[
        "messages"
    ]
    assert turn["content"] == [{"type": "image"}, {"type": "text", "text": "> Q"}]


@pytest.mark.parametrize(
    "columns",
    [
        {"name": "x"},
        {"messages": [{"role": "user", "content": None}]},
        {"chosen": "A good answer.", "rejected": "A bad one."},
    ],
)
def test_a_row_without_a_question_for_the_prefix_is_a_bad_one(columns):
    with pytest.raises(RequestError, match="no question to put the prefix '> ' before") as caught:
        prefixed(Row(columns, "f:1"), "> ")
    assert caught.value.where == "f:1"


def leaks(gather, train, evaluation, **blocks):
    dataset = {"train_file": "t.jsonl", "eval_file": "e.jsonl", **blocks.pop("dataset", {})}
    rows, _ = gather({"t.jsonl": train, "e.jsonl": evaluation}, dataset=dataset, **blocks)
    return leaked(rows).tolist()


def test_what_a_file_keeps_beside_a_row_or_calls_it_does_not_hide_a_leak(gather):
    train = [pair(str(number)) for number in range(9)]
    assert leaks(gather, train, [{**pair("3"), "source": "web"}, pair("new")]) == [0]
    assert leaks(gather, train, [{"question": "3", "answer": "An answer."}, pair("new")]) == [0]
    assert leaks(gather, train, [{"instruction": "3", "output": "An answer."}]) == []


def test_a_column_that_the_template_names_makes_two_rows_of_one_question(gather):
    train, evaluation = [{**pair("3"), "topic": "a"}], [{**pair("3"), "topic": "b"}]
    template = {"format": "{topic}: {prompt}{completion}"}
    assert leaks(gather, train, evaluation) == [0]
    assert leaks(gather, train, evaluation, prompt_template=template) == []


def test_a_prefix_does_not_hide_a_leak(gather):
    files = {"a.jsonl": [pair("1"), pair("2")], "b.jsonl": [pair("3")], "e.jsonl": [pair("2"), pair("9")]}
    mix = [{"file": "a.jsonl", "prefix": "> "}, {"file": "b.jsonl"}]
    rows, _ = gather(files, dataset={"mix": mix, "eval_file": "e.jsonl"})
    assert leaked(rows).tolist() == [0]


def test_a_near_duplicate_of_a_learned_row_is_a_leak_where_near_ones_are_looked_for(gather, tmp_path):
    question = "How many litres of water does a bean of the garden drink on a warm day in the middle of July"
    train, evaluation = [pair(question), pair("Else?")], [pair("New?"), pair(question + "?")]
    assert leaks(gather, train, evaluation) == []
    assert leaks(gather, train, evaluation, data_preprocessing={"remove_duplicates": "near"}) == [1]
    rows, _ = gather(
        {},
        tmp_path / "kept",
        dataset={"train_file": "t.jsonl", "eval_file": "e.jsonl"},
        data_preprocessing={"remove_duplicates": "near"},
    )
    rows.save(tmp_path / "kept")
    assert leaked(Rows.load(tmp_path / "kept")).tolist() == [1]


def test_a_column_has_one_meaning(gather):
    columns = {"prompt": "a", "completion": "a"}
    for dataset in ({"train_file": "a.jsonl", "columns": columns}, {"mix": [{"file": "a.jsonl", "columns": columns}]}):
        with pytest.raises(
            RequestError, match=r"columns[^\n]*: 'a' is prompt and completion: a column has one meaning"
        ):
            gather({"a.jsonl": [{"a": "x"}]}, dataset=dataset)


def test_a_value_of_a_reader_that_json_does_not_have_is_said_by_file_and_line(gather, monkeypatch):
    class OfDates:
        def read(self, path):
            yield Row({"prompt": "When?", "completion": datetime.date(2020, 1, 1)}, f"{path}:1")

    monkeypatch.setattr("furrow.stages.data.gather.reader_for", lambda *of: OfDates())
    with pytest.raises(RequestError, match=r"^a\.jsonl:1: column 'completion' is date, which JSON does not have"):
        gather({"a.jsonl": []}, dataset={"train_file": "a.jsonl"})
