"""What is said in a row is found fast for the usual layouts, and as the templates read it for all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.components.columns import conversation
from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.stages.data.quality.texts import Texts

ROLES = {"user": "question", "assistant": "answer", "system": "message"}
text = st.text(max_size=6) | st.none()


@given(
    st.fixed_dictionaries(
        {"prompt": st.text(max_size=5), "completion": st.text(max_size=5)},
        optional={"instruction": text, "context": text, "system": text, "id": st.integers(), "notes": text},
    ),
)
def test_the_fast_way_says_what_the_conversation_says(columns):
    texts, row = Texts(), Row(columns, "d:1")
    expected = [(ROLES[turn["role"]], turn["content"]) for turn in conversation(row)]
    assert texts.said(row) == expected
    assert texts.said(row) == expected  # the second time by what was remembered


def test_columns_that_could_each_be_the_answer_are_refused_with_the_place_of_each_row():
    texts = Texts()
    for where in ("d:1", "d:2"):
        with pytest.raises(RequestError, match="could each be the answer") as refused:
            texts.said(Row({"prompt": "q", "output": "a", "answer": "b"}, where))
        assert refused.value.where == where


def test_rows_that_judge_answers_are_told_by_the_value_too():
    texts = Texts()
    assert texts.said(Row({"prompt": "q", "chosen": "a", "rejected": "b"}, "d:1")) is None
    assert texts.said(Row({"prompt": "q", "completion": "a", "label": True}, "d:2")) is None
    assert texts.said(Row({"prompt": "q", "completion": "a", "label": "soil"}, "d:3")) == [
        ("question", "q"),
        ("answer", "a"),
    ]


def test_a_call_of_a_tool_is_no_empty_answer():
    call = {"type": "function", "function": {"name": "look", "arguments": {"plant": "leek"}}}
    row = Row(
        {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": [call]}]},
        "d:1",
    )
    [_, (role, said)] = Texts().said(row)
    assert role == "answer" and "look" in said
