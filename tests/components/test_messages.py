"""Conversations beyond question and answer: tools, weights, and turns in any order."""

from __future__ import annotations

import json

import pytest

from furrow.components.columns import conversation, tools_of
from furrow.components.errors import RequestError
from furrow.components.messages import read_messages, said_in
from furrow.components.preferences import answer_of, pair_of
from furrow.components.records import Row

USER = {"role": "user", "content": "How warm is it in Bern?"}
ANSWER = {"role": "assistant", "content": "12 degrees."}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"town": "Bern"}}}
RESULT = {"role": "tool", "content": '{"celsius": 12}'}


def read(*messages):
    return read_messages(list(messages), where="chat.jsonl:3", column="messages")


def calling(**more):
    return {"role": "assistant", "content": None, "tool_calls": [CALL], **more}


@pytest.mark.parametrize(
    "call",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": '{"town": "Bern"}'}}]},
        {"role": "assistant", "function_call": {"name": "weather", "arguments": '{"town": "Bern"}'}},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"town": "Bern"}}'},
        {"from": "function_call", "value": '[{"name": "weather", "arguments": {"town": "Bern"}}]'},
    ],
)
def test_a_call_of_a_tool_has_one_form_however_it_is_written(call):
    assert read(USER, call, RESULT, ANSWER) == [USER, calling(), RESULT, ANSWER]


@pytest.mark.parametrize(
    "result",
    [
        {"role": "tool", "content": '{"celsius": 12}'},
        {"role": "function", "content": '{"celsius": 12}'},
        {"from": "observation", "value": '{"celsius": 12}'},
        {"from": "tool", "value": '{"celsius": 12}'},
    ],
)
def test_what_a_tool_says_has_one_role(result):
    assert read(USER, calling(), result, ANSWER)[2] == RESULT


def test_what_was_read_is_read_as_the_same():
    messages = read(USER, calling(weight=0.5), {**RESULT, "name": "weather", "tool_call_id": "a1"}, ANSWER)
    assert messages[2] == {**RESULT, "name": "weather", "tool_call_id": "a1"}
    assert read(*messages) == messages


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ({"role": "assistant", "tool_calls": "weather"}, "message 2 of 'messages': 'tool_calls' is no list"),
        ({"role": "assistant", "tool_calls": [{}]}, "a call of a tool has no name"),
        ({"role": "assistant", "tool_calls": [7]}, "a call of a tool is no object"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": "Bern"}}]},
            "the arguments of 'weather' is no JSON: 'Bern'",
        ),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "weather", "arguments": [1]}}]},
            "the arguments of 'weather' are no object",
        ),
        ({"from": "function_call", "value": "weather(Bern)"}, "its call is no JSON"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "is by user and calls a tool"),
        ({"role": "assistant", "content": None}, "has null as 'content'"),
        ({"role": "asistant", "content": "x"}, "has the role 'asistant'[\\s\\S]*did you mean 'assistant'"),
        ({"role": "assistant", "content": "x", "images": ["a.png"]}, "has 'images', which cannot be trained on"),
        (
            {"role": "assistant", "content": [{"type": "image_url", "image_url": {}}]},
            "has parts in 'content' that are no text",
        ),
        ({"role": "assistant", "content": "x", "weight": 1.5}, "has 1.5 as 'weight', 0 to 1 is wanted"),
        ({"role": "assistant", "content": "x", "weight": "0"}, "has 0 as 'weight', 0 to 1 is wanted"),
        ({"role": "assistant", "content": "x", "weight": 0, "train": True}, "'weight' and 'train', and they differ"),
        ({"role": "user", "content": "x", "weight": 1}, "is by user and has 'weight': only what the assistant says"),
    ],
)
def test_a_message_that_is_not_understood_is_refused_with_its_number(message, wrong):
    with pytest.raises(RequestError, match=wrong) as refused:
        read(USER, message, ANSWER)
    assert refused.value.where == "chat.jsonl:3"


def test_a_weight_is_kept_where_it_is_not_1_and_train_is_another_word_for_it():
    weights = [{"weight": 0.25}, {"weight": 0}, {"train": False}, {"train": True}, {"weight": 1}, {"train": None}]
    found = read(*({**ANSWER, **weight} for weight in weights))
    assert [message.get("weight") for message in found] == [0.25, 0.0, 0.0, None, None, None]
    assert read({**USER, "weight": 0}, ANSWER) == [USER, ANSWER]


def test_texts_in_parts_are_one_text():
    parts = [{"type": "text", "text": "12 "}, {"type": "text", "text": "degrees."}]
    assert read(USER, {"role": "assistant", "content": parts}) == [USER, ANSWER]


def test_turns_may_stand_in_any_order_as_long_as_the_assistant_has_the_last_word():
    for messages in ([ANSWER, USER, ANSWER], [USER, USER, ANSWER], [USER, ANSWER, ANSWER]):
        assert read(*messages) == messages
    with pytest.raises(RequestError, match="ends with the tool"):
        read(USER, calling(), RESULT)


def test_tools_are_a_column_of_objects_or_of_json():
    tools = [{"type": "function", "function": {"name": "weather"}}]
    assert tools_of(Row({"tools": tools}, "a:1")) == tools
    assert tools_of(Row({"tools": json.dumps(tools)}, "a:1")) == tools
    assert not tools_of(Row({"tools": None}, "a:1"))
    for wrong in ("weather", {"name": "weather"}, [7]):
        with pytest.raises(RequestError, match="column 'tools' is no") as refused:
            tools_of(Row({"tools": wrong, "messages": [USER, ANSWER]}, "a:1"))
        assert refused.value.where == "a:1"


def test_a_call_of_a_tool_is_an_answer_to_compare():
    """A preference for calling the tool over guessing: the call is no empty answer, and the tools stay."""
    tools = [{"type": "function", "function": {"name": "weather"}}]
    row = Row({"tools": tools, "messages": [USER], "chosen": [calling()], "rejected": [ANSWER]}, "a:1")
    chosen, rejected = pair_of(row)
    assert conversation(chosen)[-1] == calling() and chosen.columns["tools"] == tools
    assert answer_of(chosen) == '{"name": "weather", "arguments": {"town": "Bern"}}'
    assert said_in(rejected.columns["messages"][-1]) == "12 degrees."


@pytest.mark.parametrize("role", [["user"], {"name": "user"}, 3, None])
def test_a_role_that_is_no_text_is_said_by_file_and_line(role):
    with pytest.raises(RequestError, match=r"^chat\.jsonl:3: message 1 of 'messages' has (a|an|null) ?.* as 'role'"):
        read({"role": role, "content": "How warm is it?"}, ANSWER)
