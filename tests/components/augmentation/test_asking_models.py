"""Paraphrases and translations, of a model that does as it is told here."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from furrow.components.augmentation import Unusable
from furrow.components.augmentation.back_translation import BackTranslation, BackTranslationConfig
from furrow.components.augmentation.paraphrase import Paraphrase, ParaphraseConfig
from furrow.components.model_app import CutOff
from furrow.components.records import Row

APP = {"type": "ollama", "config": {"model": "m"}}


def config_of(kind, **settings):
    return kind.model_validate_json(json.dumps({"model_app": APP, **settings}))


class Model:
    """Answers with `answers` by turns and remembers what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    def __call__(self, question, generation):
        self.asked.append((question, generation))
        answer = self.answers[(len(self.asked) - 1) % len(self.answers)]
        if answer is CutOff:
            raise CutOff(generation)
        return answer


def paraphrased(model, text="How many legs has a spider?", **settings):
    made = Paraphrase(config_of(ParaphraseConfig, **settings), model).variants(
        Row({"prompt": text, "completion": "8"}, "f:1")
    )
    return [each if isinstance(each, Unusable) else each.columns["prompt"] for each in made]


def test_the_text_stands_in_the_prompt_and_the_answer_in_its_place():
    model = Model("What number of legs does a spider have?")
    assert paraphrased(model, prompt="Again: {text} {x}") == ["What number of legs does a spider have?"]
    assert model.asked[0][0] == "Again: How many legs has a spider? {x}"


def test_each_variant_is_asked_with_a_seed_of_its_own():
    model = Model("Spider legs: how many?")
    paraphrased(model, variants=3, seed=5, generation={"seed": 100, "max_new_tokens": 9})
    assert [generation.seed for _, generation in model.asked] == [105, 106, 107]
    assert {(generation.temperature, generation.max_new_tokens) for _, generation in model.asked} == {(0.7, 9)}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ('  "Spider legs: how many?" ', "Spider legs: how many?"),
        ("“Spider legs?”", "Spider legs?"),
        ("<think>They ask about\nlegs.</think>\nSpider legs?", "Spider legs?"),
        ('Say "spider" and "legs"', 'Say "spider" and "legs"'),
    ],
)
def test_quotes_and_thoughts_around_an_answer_are_taken_off(answer, wanted):
    assert paraphrased(Model(answer)) == [wanted]


def test_an_answer_to_a_quoted_text_keeps_its_quotes():
    assert paraphrased(Model('"No!" means "Never!"'), '"Not!" is "Never!"') == ['"No!" means "Never!"']


@pytest.mark.parametrize(
    ("text", "answer", "why"),
    [
        ("Why?", "", "empty"),
        ("Why?", "<think>hm</think>", "empty"),
        ("Why?", CutOff, "cut"),
        ("Add 3 and 4.5", "Add three and 4.5", "leaves out '3'"),
        ("Call `f(x)` in {name}", "Call f(x) in {name}", "leaves out '`f(x)`'"),
        ("Why?", "Because " * 40, "far longer"),
    ],
)
def test_an_answer_that_cannot_stand_for_the_text_is_unusable(text, answer, why):
    [made] = paraphrased(Model(answer), text)
    assert isinstance(made, Unusable)
    assert why in made.why


def test_a_translation_goes_there_and_back_through_each_language_in_turn():
    model = Model("Wie viele Beine?", "How many legs are there?", "Combien de pattes?", "What is the count of legs?")
    config = config_of(BackTranslationConfig, variants=3, pivot_languages=["German", "French"])
    rows = list(BackTranslation(config, model).variants(Row({"prompt": "How many legs?", "completion": "8"}, "f:1")))
    assert [row.columns["prompt"] for row in rows][:2] == ["How many legs are there?", "What is the count of legs?"]
    questions = [question for question, _ in model.asked]
    assert "from English to German" in questions[0] and questions[0].endswith("How many legs?")
    assert "from German to English" in questions[1] and questions[1].endswith("Wie viele Beine?")
    assert "from English to French" in questions[2]
    assert "from English to German" in questions[4]
    assert model.asked[4][1].seed != model.asked[0][1].seed


def test_numbers_may_be_written_otherwise_on_the_way_but_not_in_the_end():
    config = config_of(BackTranslationConfig)
    there = Row({"prompt": "Is it 3.5 m?", "completion": "yes"}, "f:1")
    [made] = BackTranslation(config, Model("Sind es 3,5 m?", "Are these 3.5 m?")).variants(there)
    assert made.columns["prompt"] == "Are these 3.5 m?"
    [made] = BackTranslation(config, Model("Sind es 3,5 m?", "Are these 3,5 m?")).variants(there)
    assert isinstance(made, Unusable)


@pytest.mark.parametrize(
    ("app", "why"),
    [
        ({"type": "ollama"}, "set model"),
        ({"type": "llama_cpp", "config": {"threads": 1}}, "set gguf"),
        ({"type": "transformers"}, "adapter"),
        ({"type": "openai_compatible", "config": {"base_url": "http://h"}}, "set model"),
        ({"type": "olama", "config": {"model": "m"}}, "did you mean 'ollama'"),
        ({"type": "ollama", "config": {"model": "m", "modell": "m"}}, "modell"),
        ({"config": {}}, "type"),
    ],
)
def test_a_model_that_could_not_be_asked_is_refused_with_the_strategy(app, why):
    with pytest.raises(ValidationError, match=why):
        config_of(ParaphraseConfig, model_app=app)


def test_a_prompt_that_leaves_no_place_for_the_text_is_refused():
    with pytest.raises(ValidationError, match="text"):
        config_of(ParaphraseConfig, prompt="Again!")
    with pytest.raises(ValidationError, match="target"):
        config_of(BackTranslationConfig, prompt="{text} {source}")
