"""How rows are laid out: recognised by their columns, named otherwise by the strategy, counted, and told when mixed."""

import pytest

from furrow.components.columns import conversation
from furrow.components.dataset_reader import BadRow
from furrow.components.errors import RequestError
from furrow.components.layouts import Layouts
from furrow.components.records import Row
from furrow.screen.sentences import describe

SAID = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
SHARED = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]


def row(number=1, **columns):
    return Row(columns, f"data/rows.jsonl:{number}")


def layout_of(columns, **settings):
    layouts = Layouts(**settings)
    assert isinstance(layouts.laid_out(row(**columns)), Row)
    [layout] = layouts.recognised("rows.jsonl").layouts
    return layout


@pytest.mark.parametrize(
    ("layout", "columns"),
    [
        ("text", {"text": "t"}),
        ("text", {"text": "t", "id": 3, "source": "web"}),
        ("alpaca", {"instruction": "i", "input": "", "output": "o"}),
        ("alpaca", {"instruction": "i", "output": "o"}),
        ("alpaca", {"instruction": "i", "input": None, "output": "o", "text": "all of it"}),
        ("alpaca", {"instruction": "i", "context": "c", "response": "r", "category": "qa"}),
        ("prompt_completion", {"prompt": "p", "completion": "c"}),
        ("prompt_completion", {"question": "q", "answer": "a"}),
        ("prompt_completion", {"input": "q", "output": "a"}),
        ("prompt_completion", {"prompt": "p", "completion": "c", "label": "science"}),
        ("messages", {"messages": SAID}),
        ("messages", {"conversations": SAID}),
        ("messages", {"messages": SAID, "label": "science"}),
        ("messages", {"messages": []}),
        ("sharegpt", {"conversations": SHARED}),
        ("sharegpt", {"messages": SHARED, "system": "s"}),
        ("preference", {"prompt": "p", "chosen": "c", "rejected": "r"}),
        ("preference", {"chosen": SAID, "rejected": SAID}),
        ("preference", {"messages": SAID[:1], "chosen": SAID[1], "rejected": SAID[1], "label": True}),
        ("unpaired_preference", {"prompt": "p", "completion": "c", "label": True}),
        ("unpaired_preference", {"prompt": "p", "completion": "c", "label": "0"}),
        ("unpaired_preference", {"messages": SAID, "kto_tag": False}),
        ("classification", {"text": "t", "label": "news"}),
        ("classification", {"text": "t", "labels": 3}),
        ("classification", {"prompt": "p", "label": True}),
        ("other", {"frage": "f", "antwort": "a"}),
        ("other", {"prompt": "p", "completion": None}),
        ("other", {}),
    ],
)
def test_a_layout_is_recognised_by_the_columns_that_are_not_null(layout, columns):
    assert layout_of(columns) == layout


def test_rows_of_the_same_columns_are_told_apart_by_what_is_null():
    layouts = Layouts()
    for number, answer in enumerate(("a", None, "a"), 1):
        layouts.laid_out(row(number, prompt="p", completion=answer))
    event = layouts.recognised("rows.jsonl")
    assert (event.layouts, event.where) == ({"prompt_completion": 2, "other": 1}, {"other": ["data/rows.jsonl:2"]})


def test_an_objective_that_classifies_looks_for_its_label_first():
    said = {"messages": SAID[:1], "label": "news"}
    assert layout_of(said) == "messages" and layout_of(said, classes=True) == "classification"
    topic = {"text": "t", "topic": "news"}
    assert layout_of(topic) == "text"
    assert layout_of(topic, classes=True, label_column="topic") == "classification"
    assert layout_of(topic, classes=True, label_column="topic", format="classification") == "classification"


def test_rows_that_mix_layouts_are_named():
    layouts = Layouts()
    for number in range(1, 1001):
        columns = {"messages": SAID} if number in (17, 90) else {"instruction": "i", "output": "o"}
        assert layouts.laid_out(row(number, **columns)).columns == columns
    event = layouts.recognised("data/rows.jsonl")
    assert event.layouts == {"alpaca": 998, "messages": 2}
    assert event.where == {"messages": ["data/rows.jsonl:17", "data/rows.jsonl:90"]}
    assert describe(event) == (
        "warning: the rows of data/rows.jsonl mix layouts: 998 alpaca (columns instruction, output), "
        "2 messages: data/rows.jsonl:17, 90"
    )


def test_one_layout_is_said_with_the_columns_that_it_was_recognised_by():
    layouts = Layouts()
    layouts.laid_out(row(question="q", answer="a", id=7))
    assert describe(layouts.recognised("rows.csv")) == (
        "layout: prompt_completion in the one row of rows.csv (columns question, answer, id)"
    )
    assert Layouts().recognised("rows.csv") is None


def test_columns_get_the_names_of_their_meaning_in_their_order():
    layouts = Layouts(columns={"prompt": "frage", "completion": "antwort"})
    laid = layouts.laid_out(Row({"id": 1, "antwort": "a", "frage": "q"}, "f:1", source=2, origin="x", number=9))
    assert list(laid.columns.items()) == [("id", 1), ("completion", "a"), ("prompt", "q")]
    assert (laid.where, laid.source, laid.origin, laid.number) == ("f:1", 2, "x", 9)
    told = describe(layouts.recognised("rows.jsonl"))
    assert told.endswith("(columns id, completion, prompt); prompt is frage, completion is antwort")


def test_two_columns_may_change_their_names_with_each_other():
    laid = Layouts(columns={"prompt": "completion", "completion": "prompt"}).laid_out(row(prompt="1", completion="2"))
    assert laid.columns == {"completion": "1", "prompt": "2"}


def test_the_column_that_is_named_is_meant_and_others_of_that_meaning_are_not_read():
    columns = {"question": "short", "full_question": "long", "answer": "a", "output": "raw"}
    with pytest.raises(RequestError, match="could each be the answer"):
        conversation(row(**columns))
    layouts = Layouts(columns={"prompt": "full_question", "completion": "answer"})
    said = conversation(layouts.laid_out(row(**columns)))
    assert [message["content"] for message in said] == ["long", "a"]
    event = layouts.recognised("rows.jsonl")
    assert event.left_out == ["question", "output"] and "not read: question, output" in describe(event)


def test_a_named_column_that_is_not_there_is_a_bad_row_with_the_nearest_name():
    bad = Layouts(columns={"prompt": "qestion"}, where="dataset.mix.1").laid_out(row(17, question="q", answer="a"))
    assert (bad.where, bad.what) == (
        "data/rows.jsonl:17",
        "column 'qestion' is not there; columns: question, answer",
    )
    assert bad.remedy == "did you mean 'question'? see dataset.mix.1.columns.prompt"


def test_a_part_that_some_rows_lack_is_no_bad_row_but_one_that_all_lack_is_an_error():
    layouts = Layouts(columns={"system": "persona"})
    assert isinstance(layouts.laid_out(row(prompt="p", completion="c")), Row)
    with pytest.raises(RequestError, match=r"dataset.columns.system: no row of rows.jsonl has the column 'persona'"):
        layouts.recognised("rows.jsonl")
    assert layouts.laid_out(row(prompt="p", completion="c", persona="s")).columns["system"] == "s"
    assert layouts.recognised("rows.jsonl").layouts == {"prompt_completion": 2}


@pytest.mark.parametrize(
    ("named", "columns", "wrong"),
    [
        ("text", {"prompt": "p", "completion": "c"}, "none of text, which text has; .*as prompt_completion"),
        ("alpaca", {"prompt": "p", "completion": "c"}, "none of instruction"),
        ("prompt_completion", {"prompt": "p", "completion": None}, r"none of output, .*: prompt, completion \(null\)"),
        ("messages", {"prompt": "p", "completion": "c"}, "none of messages, conversations"),
        ("messages", {"messages": SHARED}, "the messages have from and value, as sharegpt has them"),
        ("sharegpt", {"conversations": SAID}, "the messages have role and content, as messages has them"),
        ("preference", {"prompt": "p", "chosen": "c"}, "none of rejected"),
        ("unpaired_preference", {"prompt": "p", "completion": "c"}, "none of label, kto_tag"),
        ("classification", {"text": "t"}, "none of label, labels"),
    ],
)  # fmt: skip
def test_a_row_without_the_layout_that_is_named_is_a_bad_one(named, columns, wrong):
    bad = Layouts(named).laid_out(row(3, **columns))
    assert isinstance(bad, BadRow) and bad.where == "data/rows.jsonl:3" and f"format says {named}" in str(bad.error())
    with pytest.raises(RequestError, match=wrong):
        raise bad.error()


def test_a_named_layout_reads_a_row_that_could_be_read_otherwise():
    columns = {"prompt": "p", "completion": "c", "text": "t", "messages": SAID, "label": "x"}
    laid = Layouts("prompt_completion").laid_out(row(**columns))
    assert laid.columns == {"prompt": "p", "completion": "c", "text": "t", "label": "x"}
    layouts = Layouts("text")
    assert layouts.laid_out(row(**columns)).columns == {"text": "t", "label": "x"}
    assert layouts.recognised("rows").left_out == ["prompt", "completion", "messages"]


def test_the_label_of_an_objective_and_that_of_the_columns_must_be_the_same():
    with pytest.raises(RequestError, match=r"columns.label: the class is in the column 'kind' here, and in 'topic'"):
        Layouts(columns={"label": "kind"}, classes=True, label_column="topic")
    kept = Layouts(columns={"label": "topic"}, classes=True, label_column="topic").laid_out(row(text="t", topic="a"))
    assert kept.columns == {"text": "t", "topic": "a"}
    for settings in ({}, {"label_column": "label"}):
        named = Layouts(columns={"label": "topic"}, classes=True, **settings).laid_out(row(text="t", topic="a"))
        assert named.columns == {"text": "t", "label": "a"}


def test_a_file_whose_every_row_has_other_columns_takes_no_more_memory_for_it():
    layouts = Layouts()
    for number in range(3000):
        layouts.laid_out(row(number, **{f"c{number}": "x", "text": "t"}))
    assert layouts.recognised("rows").layouts == {"text": 3000} and len(layouts._plans) <= 1000
