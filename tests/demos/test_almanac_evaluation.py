"""What counts as a right answer."""

from __future__ import annotations

import pytest
from almanac.evaluation import ask, exact_match, is_right


@pytest.mark.parametrize(
    "answer", ["Sow kale in May.", "sow kale in may", "  Sow kale in May. \n", "Sow kale in May ."]
)
def test_case_outer_space_and_a_final_full_stop_do_not_matter(answer: str) -> None:
    assert is_right(answer, "Sow kale in May.")


@pytest.mark.parametrize(
    "answer", ["", "Sow kale in March.", "Sow kale in May. Harvest it.", "Sow kale in May..", "May"]
)
def test_anything_else_does(answer: str) -> None:
    assert not is_right(answer, "Sow kale in May.")


def test_exact_match_is_the_share_of_right_answers() -> None:
    assert exact_match(["a", "B.", "x", "d"], ["a", "b", "c", "D"]) == 0.75


def test_answers_and_questions_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="1 answers for 2 questions"):
        exact_match(["a"], ["a", "b"])


def test_every_question_is_asked_once_in_order() -> None:
    rows = [{"prompt": "one", "completion": "1"}, {"prompt": "two", "completion": "2"}]
    assert ask(rows, str.upper) == ["ONE", "TWO"]
