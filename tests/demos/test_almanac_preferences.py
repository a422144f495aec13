"""The pairs of answers: one right, one wrong, and nothing else between them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from almanac import preferences, questions
from almanac.facts import facts
from almanac.wordings import answer_to

DATASETS = Path(__file__).parents[2] / "demos" / "datasets" / "almanac"
RIGHT = {answer_to(fact): fact for fact in facts()}


@pytest.mark.parametrize("rows", [preferences.training_rows, preferences.held_out_rows])
def test_the_chosen_answer_is_right_and_the_rejected_one_is_the_same_sentence_with_another_fact(rows) -> None:
    pairs = rows()
    assert len(pairs) in (180, 1080)
    for pair in pairs:
        fact = RIGHT[pair["chosen"]]
        assert fact.crop in pair["prompt"]
        assert pair["rejected"] not in RIGHT
        before, after = pair["chosen"].split(fact.value)
        assert pair["rejected"].startswith(before) and pair["rejected"].endswith(after)
        wrong = pair["rejected"].removeprefix(before).removesuffix(after)
        assert wrong in {other.value for other in facts() if other.attribute == fact.attribute} - {fact.value}


def test_what_is_held_out_is_in_no_pair_that_is_learned() -> None:
    learned = {pair["chosen"] for pair in preferences.training_rows()}
    assert not learned & {pair["chosen"] for pair in preferences.held_out_rows()}
    assert [pair["prompt"] for pair in preferences.training_rows()] == [
        row["prompt"] for row in questions.training_rows()
    ]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("almanac_pairs.jsonl", preferences.training_rows),
        ("almanac_pairs_heldout.jsonl", preferences.held_out_rows),
    ],
)
def test_the_files_hold_what_the_code_makes(name, rows) -> None:
    lines = (DATASETS / name).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows()
