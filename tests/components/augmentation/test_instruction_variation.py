"""Phrasings by rules."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from furrow.components.augmentation.instruction_variation import InstructionVariation, InstructionVariationConfig
from furrow.components.records import Row


def varied(text, **settings):
    settings = {"variants": 100, "shipped": False, **settings}
    augmentation = InstructionVariation(InstructionVariationConfig(**settings))
    rows = list(augmentation.variants(Row({"prompt": text, "completion": "Done."}, "f:1")))
    assert all(row.columns["completion"] == "Done." for row in rows)
    return {row.columns["prompt"] for row in rows}


def test_a_request_is_put_into_a_sentence():
    assert varied("Write a poem.", patterns=("Could you {request}?",)) == {"Could you write a poem?"}


def test_a_question_is_put_into_a_sentence():
    assert varied("Who was it?", patterns=("Tell me: {question}?",)) == {"Tell me: who was it?"}


def test_an_instruction_stands_as_it_is():
    assert varied("Paris? Rome!\nWell.", patterns=("{instruction} Please.",)) == {"Paris? Rome!\nWell. Please."}


@pytest.mark.parametrize(
    "text",
    ["Python is nice.", "Write a poem. Make it short.", "Write a poem:\nroses", "Is it?", "Write it?", "...", ""],
)
def test_what_is_no_single_request_is_not_put_into_one(text):
    assert varied(text, patterns=("Could you {request}?",)) == set()


def test_names_at_the_beginning_of_a_text_are_never_made_small():
    assert not {text for text in varied("Berlin is where?", shipped=True) if "berlin" in text}


def test_an_opening_gives_way_and_the_longest_one_counts():
    openings = {"Give": ("Hand out",), "Give me": ("Provide", "I want")}
    assert varied("Give me a joke.", openings=openings) == {"Provide a joke.", "I want a joke."}
    assert varied("Giveaway rules?", openings=openings) == set()


def test_braces_of_the_text_are_text():
    assert varied("Fill {name} in.", patterns=("Please {request}.",)) == {"Please fill {name} in."}


def test_shipped_phrasings_are_many_and_each_holds_what_was_asked():
    made = varied("Explain how bees find their way home.", shipped=True)
    assert len(made) >= 6
    assert all("how bees find their way home" in text for text in made)
    assert "Please explain how bees find their way home." in made


def test_fewer_are_made_where_fewer_are_asked_for_and_another_seed_draws_others():
    drawn = {seed: varied("List three birds.", shipped=True, variants=1, seed=seed).pop() for seed in range(12)}
    assert varied("List three birds.", shipped=True, variants=1, seed=3) == {drawn[3]}
    assert len(set(drawn.values())) > 2


def test_a_pattern_without_its_placeholder_is_refused():
    with pytest.raises(ValidationError, match="needs one of"):
        InstructionVariationConfig(patterns=("Please",))
    with pytest.raises(ValidationError, match="needs one of"):
        InstructionVariationConfig(patterns=("{request} {question}",))
