"""What stays of a row that is too long: counted out by hand, token by token."""

from __future__ import annotations

import itertools
import random

import pytest

from furrow.components.records import Run
from furrow.stages.data.limits import example_of, kept_of, last_answer_only, teaches
from furrow.strategies.schema import PreprocessingConfig

BOS, END = 900, 999


def runs(*lengths, weights=()):
    """Given and learned runs by turns, each answer with its end token; tokens are numbered, BOS is a run of its own."""
    number = itertools.count(1)
    found = [Run([BOS])]
    for place, length in enumerate(lengths):
        weight = weights[place // 2] if weights and place % 2 else 1.0
        found.append(Run([next(number) for _ in range(length)], place % 2 > 0, False, weight))
        if place % 2:
            found.append(Run([END], True, True, weight))
    return found


def cut(row, longest, head=1, **limits):
    """(ids, the learned ones among them), None where the row is dropped."""
    kept = kept_of(row, PreprocessingConfig(**limits), longest, lambda: head)
    example = example_of(row, "", kept)
    if not kept.positions:
        return None
    assert list(kept.positions) == sorted(set(kept.positions)) and len(kept.positions) <= longest
    return example.input_ids, [token for token, on in zip(example.input_ids, example.learned, strict=True) if on]


ROW = runs(5, 3)  # BOS 1 2 3 4 5 | 6 7 8 END: ten tokens


def test_a_row_within_the_limits_stays_as_it_is():
    assert cut(ROW, 10) == ([BOS, 1, 2, 3, 4, 5, 6, 7, 8, END], [6, 7, 8, END])


@pytest.mark.parametrize(("longest", "ids"), [(9, [2, 3, 4, 5]), (7, [4, 5]), (6, [5])])
def test_a_prompt_is_cut_from_its_beginning_behind_the_first_token(longest, ids):
    assert cut(ROW, longest) == ([BOS, *ids, 6, 7, 8, END], [6, 7, 8, END])


def test_a_row_without_room_for_any_of_its_prompt_is_dropped():
    assert cut(ROW, 5) is None and cut(ROW, 3) is None


def test_the_head_of_a_prompt_stays_where_there_is_room_for_it_and_something_behind_it():
    assert cut(ROW, 8, head=3) == ([BOS, 1, 2, 5, 6, 7, 8, END], [6, 7, 8, END])
    assert cut(ROW, 7, head=3) == ([BOS, 4, 5, 6, 7, 8, END], [6, 7, 8, END])


def test_an_earlier_answer_belongs_to_the_prompt_and_what_is_left_of_it_is_not_learned():
    talk = runs(2, 4, 2, 1)  # BOS 1 2 | 3 4 5 6 END | 7 8 | 9 END
    assert cut(talk, 11) == ([BOS, 2, 3, 4, 5, 6, END, 7, 8, 9, END], [3, 4, 5, 6, END, 9, END])
    assert cut(talk, 10) == ([BOS, 3, 4, 5, 6, END, 7, 8, 9, END], [3, 4, 5, 6, END, 9, END])
    assert cut(talk, 8) == ([BOS, 5, 6, END, 7, 8, 9, END], [9, END])
    assert cut(talk, 5) == ([BOS, 7, 8, 9, END], [9, END])


def test_drop_drops_and_turns_that_cannot_be_had_shorter_are_dropped_too():
    assert cut(ROW, 9, truncation="drop") is cut(ROW, 9, truncation="cut_turns") is None


def test_a_cut_answer_ends_with_its_end_token():
    assert cut(ROW, 9, truncation="cut_answer") == ([BOS, 1, 2, 3, 4, 5, 6, 7, END], [6, 7, END])
    assert cut(ROW, 8, truncation="cut_answer") == ([BOS, 1, 2, 3, 4, 5, 6, END], [6, END])
    assert cut(ROW, 7, truncation="cut_answer") is None  # an end token alone answers nothing
    open_ended = [Run([1, 2]), Run([3, 4, 5], learned=True)]
    assert cut(open_ended, 4, truncation="cut_answer") == ([1, 2, 3, 4], [3, 4])


def test_turns_beyond_the_cut_go_with_their_questions():
    talk = runs(2, 2, 2, 2)  # BOS 1 2 | 3 4 END | 5 6 | 7 8 END
    for longest in (6, 7, 8, 9):
        assert cut(talk, longest, truncation="cut_answer") == ([BOS, 1, 2, 3, 4, END], [3, 4, END])
    assert cut(talk, 10, truncation="cut_answer")[1] == [3, 4, END, 7, END]


def test_prompt_and_answer_have_limits_of_their_own():
    assert cut(ROW, 10, max_input_length=3) == ([BOS, 4, 5, 6, 7, 8, END], [6, 7, 8, END])
    assert cut(ROW, 10, max_output_length=2) == ([BOS, 1, 2, 3, 4, 5, 6, END], [6, END])
    assert cut(ROW, 5, max_input_length=3, max_output_length=2) == ([BOS, 4, 5, 6, END], [6, END])
    assert kept_of(ROW, PreprocessingConfig(max_output_length=2), 10).answer_cut
    assert not kept_of(ROW, PreprocessingConfig(max_input_length=2), 10).answer_cut


def test_only_the_last_answer_is_learned_where_that_is_asked():
    talk = example_of(last_answer_only(runs(2, 2, 1, 1)), "")
    assert [token for token, on in zip(talk.input_ids, talk.learned, strict=True) if on] == [6, END]


def test_weights_follow_their_tokens_and_zero_is_not_learned():
    row = runs(1, 1, 1, 1, weights=[0.0, 0.5])
    example = example_of(row, "")
    assert example.input_ids == [BOS, 1, 2, END, 3, 4, END]
    assert example.learned == [False] * 5 + [True] * 2 and example.weights == [0.0] * 5 + [0.5] * 2
    assert example_of(runs(1, 1), "").weights is None
    kept = kept_of(row, PreprocessingConfig(), 5)
    assert example_of(row, "", kept).weights == [0.0, 0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize("truncation", ["cut_prompt", "cut_answer", "drop"])
def test_whatever_is_cut_ends_in_its_end_token_and_fits(truncation):
    chance = random.Random(7)
    dropped = 0
    for _ in range(2000):
        row = runs(*(chance.randint(1, 9) for _ in range(chance.choice([2, 2, 4, 6]))))
        longest = chance.randint(1, 30)
        limits = {"truncation": truncation}
        limits |= {
            name: chance.randint(2, 8) for name in ("max_input_length", "max_output_length") if chance.random() < 0.3
        }
        kept = kept_of(row, PreprocessingConfig(**limits), longest, lambda: chance.randint(1, 4))
        whole, example = example_of(row, ""), example_of(row, "", kept)
        assert len(example.input_ids) <= longest
        if not kept.positions:
            dropped += 1
            continue
        assert teaches(example) and example.input_ids[-1] == END and example.input_ids[0] == BOS
        assert [whole.input_ids[at] for at in kept.positions] == example.input_ids
        for at, on in enumerate(example.learned):
            assert not on or whole.learned[kept.positions[at]]
    assert 0 < dropped < 2000
