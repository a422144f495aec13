"""The reward functions that ship, on answers whose worth can be counted by hand."""

from __future__ import annotations

import json

import pytest

from furrow.components.registry import claims, factory, find
from furrow.components.reward import Asked


def worth(name, completions, answer="In March.", **settings):
    component = find("reward", name)
    function = factory(component)(component.config.model_validate_json(json.dumps(settings)))
    rows = [Asked(answer, f"rows.jsonl:{number}") for number in range(len(completions))]
    return function(["When?"] * len(completions), completions, rows)


def test_every_reward_stays_between_0_and_1_whatever_the_answer():
    settings = {"length": {"words": 3}}
    hostile = ["", " ", "{", "[" * 100_000, '{"a": NaN}', "null", "\0", "😀" * 1000, "a b c " * 1000]
    for name in claims("reward"):
        assert all(0 <= value <= 1 for value in worth(name, hostile, **settings.get(name, {}))), name


def test_length_is_worth_most_at_the_target_and_nothing_at_none_or_twice_as_many():
    answers = ["", "one", "one two", "one two three", " one\ntwo  three four ", "a b c d e f", "a b c d e f g"]
    assert worth("length", answers, words=3) == pytest.approx([0, 1 / 3, 2 / 3, 1, 2 / 3, 0, 0])


@pytest.mark.parametrize(
    ("completion", "settings", "value"),
    [
        ("In March.", {}, 1),
        ("  In\n March. ", {}, 1),
        ("in march.", {}, 0),
        ("in march.", {"ignore_case": True}, 1),
        ("In March. Or so.", {}, 0),
        ("It is mild then. #### In March.", {"after": "####"}, 1),
        ("#### In May. #### In March.", {"after": "####"}, 1),
        ("In March.", {"after": "####"}, 0),
        ("####", {"after": "####"}, 0),
    ],
)
def test_an_exact_match_compares_words(completion, settings, value):
    assert worth("exact_match", [completion], **settings) == [value]
    assert worth("exact_match", [completion], "Reasons. #### In March.", **settings) == (
        [value] if "after" in settings else [0]
    )


def test_contains_counts_the_wanted_texts_or_looks_for_the_answer():
    assert worth("contains", ["sow in March", "sow in May", "MARCH"], texts=["sow", "March"]) == [1, 0.5, 0]
    assert worth("contains", ["MARCH"], texts=["sow", "March"], ignore_case=True) == [0.5]
    assert worth("contains", ["Yes: In March. Good.", "in march"]) == [1, 0]


def test_a_json_object_is_worth_half_and_its_keys_the_rest():
    answers = ['{"a": 1, "b": 2}', '{"a": 1}', '{"a": 1, "b": 2, "c": 3}', "{}", "[1]", 'Here: {"a": 1}', '{"a": 1']
    third = 0.5 + 0.5 * 2 / 3
    assert worth("json_object", answers, keys=["a", "b"]) == pytest.approx([1, 0.75, third, 0.5, 0, 0, 0])
    assert worth("json_object", answers[:2]) == [1, 1]
