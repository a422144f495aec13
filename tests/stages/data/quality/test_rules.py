"""What filter_quality drops, and what it keeps."""

import re

import pytest

from furrow.components.records import Row
from furrow.stages.data.quality.rules import Rules

ANSWER = "Sow carrots in April, two centimetres deep, and thin them to five."


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"prompt": "q", "completion": "  \n"}, "the answer is empty"),
        ({"prompt": "q", "completion": "..."}, "no letter, digit or symbol"),
        ({"prompt": " ", "completion": ANSWER}, "the question is empty"),
        ({"prompt": "When to sow?", "completion": " when  to SOW?"}, "repeats the question"),
        ({"prompt": "q", "completion": "a" * 30}, "mostly 'a'"),
        ({"prompt": "q", "completion": "Yes. " + "=" * 30}, "mostly '='"),
        ({"prompt": "-" * 30, "completion": ANSWER}, "the question is mostly"),
        ({"prompt": "q", "completion": "I do not know.\n" * 5}, "one line 5 times"),
        ({"prompt": "q", "completion": ANSWER + "\x07"}, r"U\+0007"),
        ({"prompt": "q", "completion": "caf\ufffd"}, r"U\+FFFD"),
        ({"text": " "}, "the text is empty"),
        ({"text": "x" * 30}, "the text is mostly"),
        ({"title": "x\x00", "body": "y"}, r"U\+0000"),
        (
            {
                "messages": [
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": ""},
                    {"role": "user", "content": "q"},
                    {"role": "assistant", "content": ANSWER},
                ]
            },
            "the answer is empty",
        ),
    ],
)
def test_a_row_not_worth_learning_has_a_reason(columns, reason):
    found = Rules().flaw(Row(columns, "data:1"))
    assert found is not None and re.search(reason, found.reason)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER,
        "4",
        "No!!!",
        "+",
        "🌱",
        "胡萝卜",
        "عدس",
        "a\tb\r\n\nc",
        "yes\nyes\nno\nyes",
        "e" * 19,
        "def f():\n    return 1",
    ],
)
def test_short_foreign_and_ordinary_answers_are_kept(answer):
    assert Rules().flaw(Row({"prompt": "q", "completion": answer}, "data:1")) is None
