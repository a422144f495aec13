"""What the columns of a row mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from furrow.components import columns as columns_module
from furrow.components.columns import conversation, field, shape_of, text
from furrow.components.errors import RequestError
from furrow.components.records import Row


def row(**columns):
    return Row(columns, "data.jsonl:7")


def said(messages):
    return [(message["role"], message["content"]) for message in messages]


@pytest.mark.parametrize(
    ("columns", "question"),
    [
        ({"instruction": "Translate.", "input": "Hund", "output": "dog"}, "Translate.\nHund"),
        ({"instruction": "Greet.", "input": "", "output": "dog"}, "Greet."),
        ({"instruction": "Greet.", "input": None, "output": "dog"}, "Greet."),
        ({"instruction": "Sum up.", "context": "Long text.", "response": "dog"}, "Sum up.\nLong text."),
        ({"prompt": "Hund?", "completion": "dog"}, "Hund?"),
        ({"input": "Hund?", "output": "dog"}, "Hund?"),
        ({"question": "Hund?", "answer": "dog"}, "Hund?"),
        ({"prompt": "Hund?", "response": "dog", "text": "all of it", "id": 3}, "Hund?"),
    ],
)
def test_question_and_answer_columns_become_a_conversation(columns, question):
    assert shape_of(row(**columns)) == "pair"
    assert said(conversation(row(**columns))) == [("user", question), ("assistant", "dog")]


def test_a_system_column_comes_first_and_an_empty_one_counts_for_nothing():
    pair = {"prompt": "q", "completion": "a"}
    assert said(conversation(row(system="Be brief.", **pair)))[0] == ("system", "Be brief.")
    assert said(conversation(row(system="", **pair)))[0] == ("user", "q")
    messages = [{"role": "system", "content": "Be rude."}, *conversation(row(**pair))]
    with pytest.raises(RequestError, match="differ"):
        conversation(row(system="Be brief.", messages=messages))


def test_sharegpt_conversations_are_messages():
    turns = [("system", "s"), ("human", "q"), ("gpt", "a"), ("human", "q2"), ("gpt", "a2")]
    spoken = [{"from": who, "value": what, "weight": None} for who, what in turns]
    roles = ["system", "user", "assistant", "user", "assistant"]
    assert said(conversation(row(conversations=spoken))) == list(zip(roles, [t for _, t in turns], strict=True))


USER, ASSISTANT = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        ("text", "is text, a list"),
        ([], "no assistant message"),
        ([USER], "no assistant message"),
        ([USER, ASSISTANT, USER], "ends with the user"),
        ([USER, {"role": "system", "content": "s"}, ASSISTANT], "message 2 is by system, which stands first"),
        ([USER, {"role": "assistant", "content": None}], "message 2 of 'messages' has null as 'content'"),
        ([USER, {"role": "assistant", "content": [{"type": "text"}]}], "has parts in 'content' that are no text"),
        ([USER, {"role": "assistant", "content": [1]}], "has a list as 'content'"),
        ([USER, {"role": "assistant"}], "has no 'content'"),
        ([USER, {"content": "a"}], "has no 'role'"),
        ([USER, {"role": "narrator", "content": "a"}], "has the role 'narrator'"),
        ([USER, "a"], "message 2 of 'messages' is text, an object"),
    ],
)
def test_what_is_no_conversation_is_refused_by_file_line_and_message(messages, wrong):
    with pytest.raises(RequestError, match=wrong) as error:
        conversation(row(messages=messages))
    assert error.value.where == "data.jsonl:7"


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        ({"title": "x", "body": "y"}, "among: title, body"),
        ({"prompt": "q", "completion": None}, "the answer is null"),
        ({"prompt": "q", "completion": 4}, "'completion' is a number, text is wanted"),
        ({"prompt": "q", "output": "a", "answer": "b"}, "'output' and 'answer' could each be the answer"),
        ({"prompt": "q", "question": "q", "answer": "b"}, "'prompt' and 'question' could each be the question"),
        ({"text": "plain"}, "plain text, a question with an answer is wanted"),
        ({}, "among: none"),
    ],
)
def test_columns_that_do_not_fit_are_named(columns, wrong):
    with pytest.raises(RequestError, match=wrong) as error:
        conversation(row(**columns))
    assert error.value.where == "data.jsonl:7"


def test_plain_text_is_its_column():
    assert shape_of(row(text="Sow in May.")) == "text"
    assert text(row(text="Sow in May.")) == "Sow in May."
    with pytest.raises(RequestError, match="column 'text' is not there; columns: prompt"):
        text(row(prompt="q"))


def filled(template_names, **columns):
    return [field(row(**columns), name, template_names) for name in template_names]


@pytest.mark.parametrize(
    ("names", "columns", "values"),
    [
        (["input", "output"], {"prompt": "q", "completion": "a"}, ["q", "a"]),
        (["prompt", "completion"], {"question": "q", "answer": "a"}, ["q", "a"]),
        (["question", "response"], {"instruction": "q", "output": "a"}, ["q", "a"]),
        (["instruction", "output"], {"prompt": "q", "output": "a"}, ["q", "a"]),
        # nothing the user said is left out
        (["input", "output"], {"instruction": "i", "input": "q", "output": "a"}, ["i\nq", "a"]),
        (["instruction", "output"], {"instruction": "i", "input": "q", "output": "a"}, ["i\nq", "a"]),
        (["instruction", "input"], {"instruction": "i", "input": "q", "output": "a"}, ["i", "q"]),
        (["instruction", "input"], {"instruction": "i", "context": "c", "response": "a"}, ["i", "c"]),
        (["instruction", "input"], {"instruction": "i", "input": "", "output": "a"}, ["i", ""]),
        (["instruction", "input"], {"instruction": "i", "output": "a"}, ["i", ""]),
        (["question"], {"question": "q", "context": "c", "answer": "a"}, ["q\nc"]),
        # a name that is exact needs no guess
        (["prompt", "answer"], {"prompt": "q", "input": "z", "output": "a", "answer": "b"}, ["q", "b"]),
        (["title", "year"], {"title": "t", "year": "1970"}, ["t", "1970"]),
        # a conversation of one exchange
        (["input", "output"], {"messages": [USER, ASSISTANT]}, ["q", "a"]),
        (["topic", "input"], {"messages": [USER, ASSISTANT], "topic": "t"}, ["t", "q"]),
        (["system"], {"messages": [{"role": "system", "content": "s"}, USER, ASSISTANT]}, ["s"]),
    ],
)
def test_a_placeholder_is_the_column_of_that_meaning(names, columns, values):
    assert filled(names, **columns) == values


@pytest.mark.parametrize(
    ("name", "columns", "wrong"),
    [
        ("title", {"prompt": "q"}, "column 'title' is not there; columns: prompt"),
        ("title", {"title": None, "prompt": "q"}, "column 'title' is null"),
        ("input", {"output": "a"}, "no column with the question among: output"),
        ("input", {"prompt": "q", "question": "q"}, "could each be the question"),
        ("output", {"answer": "q", "response": "q"}, "could each be the answer"),
        ("input", {"input": ["q"]}, "'input' is a list, text is wanted"),
        ("input", {"messages": [USER, ASSISTANT] * 2}, "has 4 messages"),
    ],
)
def test_a_placeholder_without_its_column_is_refused(name, columns, wrong):
    with pytest.raises(RequestError, match=wrong):
        field(row(**columns), name, [name])


NAMES = (*columns_module.PARTS, *columns_module.ANSWER, "system", "text", "topic", "tools", "messages")
VALUES = draw.one_of(draw.sampled_from([None, "", " ", "\n", "a", " b ", 3, [USER, ASSISTANT]]), draw.text(max_size=3))


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except RequestError as error:
        return str(error)


@settings(max_examples=300, deadline=None)
@given(columns=draw.dictionaries(draw.sampled_from(NAMES), VALUES, max_size=5))
def test_the_short_way_to_a_conversation_is_the_long_one(columns):
    short = outcome(conversation, row(**columns))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(columns_module, "_usual", lambda row: None)
        assert outcome(conversation, row(**columns)) == short


@settings(max_examples=300, deadline=None)
@given(
    columns=draw.dictionaries(draw.sampled_from(NAMES), VALUES, max_size=5),
    asked=draw.lists(draw.sampled_from([*columns_module.PARTS, "topic"]), min_size=1, max_size=3, unique=True),
    answer=draw.sampled_from(columns_module.ANSWER),
)
def test_the_short_way_to_the_fields_is_the_long_one(columns, asked, answer):
    names = (*asked, answer)
    short = columns_module.own_fields(row(**columns), names)
    if short is not None:
        assert short == [field(row(**columns), name, names) for name in names]


def test_a_column_that_is_called_tools_may_be_a_gardeners():
    assert not columns_module.tools_of(row(prompt="q", completion="a", tools="rake, spade"))
    with pytest.raises(RequestError, match="column 'tools' is no JSON: 'rake, spade'"):
        columns_module.tools_of(row(messages=[USER, ASSISTANT], tools="rake, spade"))


@pytest.mark.parametrize(
    ("columns", "remedy"),
    [
        ({"frage": "a", "antwort": "b"}, "dataset.columns: {prompt: frage, completion: antwort}"),
        ({"prompt": "a", "antwort": "b"}, "dataset.columns: {completion: antwort}"),
        ({"frage": "a"}, "dataset.columns says what other columns mean"),
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, "set objective to dpo, orpo, simpo or reward"),
    ],
)
def test_unknown_columns_are_refused_with_the_key_that_names_them(columns, remedy):
    with pytest.raises(RequestError) as refused:
        shape_of(Row(columns, "r.jsonl:1"))
    assert remedy in refused.value.remedy
