"""What the columns of rows that judge answers mean."""

import pytest

from furrow.components.columns import conversation
from furrow.components.errors import RequestError
from furrow.components.preferences import judged_of, pair_of
from furrow.components.records import Row

ASKED = {"role": "user", "content": "Hund?"}
GOOD = {"role": "assistant", "content": "dog"}
BAD = {"role": "assistant", "content": "cat"}


def row(**columns):
    return Row(columns, "pairs.jsonl:7")


def said(answered):
    return [(message["role"], message["content"]) for message in conversation(answered)]


@pytest.mark.parametrize(
    "columns",
    [
        {"prompt": "Hund?", "chosen": "dog", "rejected": "cat"},
        {"question": "Hund?", "chosen": "dog", "rejected": "cat", "score_chosen": 8.5},
        {"prompt": "Hund?", "chosen_response": "dog", "rejected_response": "cat"},
        {"prompt": "Hund?", "completion": "wolf", "chosen": "dog", "rejected": "cat"},
        {"prompt": [ASKED], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]},
        {"prompt": "Hund?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD], "messages": [ASKED, GOOD]},
        {"prompt": "Hund?", "chosen": [GOOD], "rejected": [BAD]},
        {"messages": [ASKED], "chosen": GOOD, "rejected": BAD},
        {
            "conversations": [{"from": "human", "value": "Hund?"}],
            "chosen": {"from": "gpt", "value": "dog"},
            "rejected": {"from": "gpt", "value": "cat"},
        },
        {"prompt": [ASKED], "chosen": "dog", "rejected": "cat"},
    ],
)
def test_a_pair_is_the_same_prompt_with_either_answer(columns):
    chosen, rejected = pair_of(row(**columns))
    assert said(chosen) == [("user", "Hund?"), ("assistant", "dog")]
    assert said(rejected) == [("user", "Hund?"), ("assistant", "cat")]
    assert chosen.where == "pairs.jsonl:7"


def test_a_question_in_parts_and_a_system_prompt_stay_with_both_answers():
    for columns in (
        {"instruction": "Translate.", "input": "Hund", "chosen": "dog", "rejected": "cat"},
        {"instruction": "Translate.", "input": "Hund", "chosen": [GOOD], "rejected": [BAD]},
    ):
        both = [said(answered) for answered in pair_of(row(system="Be brief.", **columns))]
        assert [turns[:2] for turns in both] == [[("system", "Be brief."), ("user", "Translate.\nHund")]] * 2


def test_what_was_said_before_the_last_answer_belongs_to_the_prompt():
    earlier = [ASKED, GOOD, {"role": "user", "content": "Katze?"}]
    for columns in (
        {"chosen": [*earlier, BAD], "rejected": [*earlier, GOOD]},
        {"prompt": earlier, "chosen": [BAD], "rejected": [GOOD]},
    ):
        assert [message["content"] for message in conversation(pair_of(row(**columns))[0])] == [
            "Hund?",
            "dog",
            "Katze?",
            "cat",
        ]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ({"prompt": "Hund?", "chosen": "dog"}, "column 'rejected' is not there; columns: prompt, chosen"),
        ({"prompt": "Hund?", "chosen": None, "rejected": "cat"}, r"column 'chosen' is not there.*chosen \(null\)"),
        ({"chosen": "Hund? dog", "rejected": "Hund? cat"}, "no prompt beside 'chosen'"),
        ({"prompt": "Hund?", "chosen": "dog", "rejected": "dog"}, "are the same"),
        ({"prompt": "Hund?", "chosen": "dog", "rejected": " "}, "'?rejected'? is empty"),
        ({"prompt": "Hund?", "chosen": 3, "rejected": "cat"}, "'chosen' is a number"),
        ({"prompt": [ASKED], "chosen": [], "rejected": [BAD]}, "ends with the user|no assistant message"),
        ({"chosen": [ASKED, GOOD], "rejected": [{**ASKED, "content": "Hündin?"}, BAD]}, "differ before their last"),
        ({"prompt": "Maus?", "chosen": [ASKED, GOOD], "rejected": [ASKED, BAD]}, "nobody says what 'prompt' says"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_place(columns, complaint):
    with pytest.raises(RequestError, match=complaint) as refused:
        pair_of(row(**columns))
    assert refused.value.where == "pairs.jsonl:7"


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        ({"prompt": "Hund?", "completion": "dog", "label": True}, True),
        ({"prompt": "Hund?", "completion": "dog", "label": "false"}, False),
        ({"prompt": "Hund?", "completion": "dog", "label": 1}, True),
        ({"instruction": "Hund?", "output": "dog", "kto_tag": False}, False),
        ({"prompt": [ASKED], "completion": [GOOD], "label": False}, False),
        ({"messages": [ASKED, GOOD], "label": True}, True),
    ],
)
def test_a_verdict_is_read_in_its_usual_forms(columns, verdict):
    [(answered, found)] = judged_of(row(**columns))
    assert found is verdict
    assert said(answered) == [("user", "Hund?"), ("assistant", "dog")]


def test_a_pair_counts_as_two_verdicts():
    found = judged_of(row(prompt="Hund?", chosen="dog", rejected="cat"))
    assert [(said(answered)[-1][1], verdict) for answered, verdict in found] == [("dog", True), ("cat", False)]


@pytest.mark.parametrize("label", ["good", 2, 0.5, [True]])
def test_a_verdict_that_is_neither_true_nor_false_is_refused(label):
    with pytest.raises(RequestError, match="true or false is wanted"):
        judged_of(row(prompt="Hund?", completion="dog", label=label))
