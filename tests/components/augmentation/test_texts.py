"""Which texts of a row are varied."""

from __future__ import annotations

import pytest

from furrow.components.augmentation.texts import texts_of, with_texts
from furrow.components.errors import RequestError
from furrow.components.records import Row


def row(**columns):
    return Row(columns, "a.jsonl:3", 2)


def test_of_an_instruction_with_an_input_only_the_instruction_is_varied():
    given = row(instruction="Summarize.", input="A long text.", output="Short.")
    assert texts_of(given) == {("instruction",): "Summarize."}


def test_without_an_instruction_it_is_the_question():
    assert texts_of(row(prompt="Why?", completion="So.")) == {("prompt",): "Why?"}
    assert texts_of(row(instruction="", input="Why?", output="So.")) == {("input",): "Why?"}


def test_in_a_conversation_only_the_user_is_varied_and_all_else_stays():
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "One?"},
        {"role": "assistant", "content": "1", "tool_calls": [{"id": "x"}]},
        {"role": "user", "content": "Two?", "name": "eve"},
        {"role": "assistant", "content": "2"},
    ]
    given = row(messages=messages, tools=["t"])
    texts = texts_of(given)
    assert list(texts.values()) == ["One?", "Two?"]
    made = with_texts(given, {place: text.upper() for place, text in texts.items()})
    assert made.columns["messages"] == [
        messages[0], {"role": "user", "content": "ONE?"}, messages[2],
        {"role": "user", "content": "TWO?", "name": "eve"}, messages[4],
    ]  # fmt: skip
    assert made.columns["tools"] == ["t"]
    assert given.columns["messages"][1]["content"] == "One?"
    assert (made.where, made.source) == ("a.jsonl:3", 2)


def test_sharegpt_turns_of_the_human_are_varied():
    given = row(conversations=[{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}])
    assert texts_of(given) == {("conversations", 0, "value"): "Hi"}


def test_plain_text_is_varied_only_by_who_can():
    assert texts_of(row(text="Once."), plain=True) == {("text",): "Once."}
    with pytest.raises(RequestError, match="plain text") as caught:
        texts_of(row(text="Once."))
    assert caught.value.where == "a.jsonl:3"


def test_the_text_of_a_classifier_is_varied():
    assert texts_of(row(text="Nice.", label="good")) == {("text",): "Nice."}


@pytest.mark.parametrize(
    "columns", [{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "p", "completion": "c", "label": True}]
)
def test_rows_that_judge_answers_are_refused_until_a_column_is_named(columns):
    with pytest.raises(RequestError, match="no question"):
        texts_of(row(**columns))
    assert texts_of(row(**columns), ["prompt"]) == {("prompt",): "p"}


def test_an_answer_is_varied_where_its_column_is_named():
    given = row(instruction="i", output="o")
    assert texts_of(given, ["instruction", "output"]) == {("instruction",): "i", ("output",): "o"}


def test_a_column_that_is_not_there_is_an_error_with_the_nearest_name():
    with pytest.raises(RequestError, match="instuction") as caught:
        texts_of(row(instruction="i", output="o"), ["instuction"])
    assert "did you mean 'instruction'" in caught.value.remedy


def test_a_named_column_that_this_row_leaves_empty_is_passed_over():
    assert texts_of(row(instruction="i", input=None, output="o"), ["instruction", "input"]) == {("instruction",): "i"}
