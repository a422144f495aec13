"""`filter_quality`: true, false, or rules by name."""

import pytest

from furrow.components.errors import FurrowError
from furrow.strategies.files import without_strategy
from furrow.strategies.quality_rules import QualityConfig, quality_config


def asked(setting):
    return without_strategy([f"data_preprocessing.filter_quality={setting}"]).strategy.data_preprocessing.filter_quality


def test_true_is_all_rules_by_default_and_false_none():
    assert quality_config(asked("true")) == QualityConfig() == quality_config(asked("{}"))
    assert quality_config(asked("false")) is None


def test_a_rule_that_is_named_changes_and_the_others_stay():
    config = quality_config(asked("{character_repetition: false, min_words: 3, languages: [en, de]}"))
    assert (config.character_repetition, config.min_words, config.languages) == (False, 3, ("en", "de"))
    assert config.model_dump(exclude={"character_repetition", "min_words", "languages"}) == QualityConfig().model_dump(
        exclude={"character_repetition", "min_words", "languages"}
    )


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("{emtpy: true}", "did you mean 'empty'"),
        ("{character_repetition: 60}", "must be less than 1"),
        ("{character_repetition: true}", "a number is wanted, got true"),
        ("{languages: [english]}", "got 'english'"),
        ("often", "true or false is wanted"),
    ],
)
def test_what_is_no_rule_and_no_setting_of_one_is_refused_once(setting, complaint):
    with pytest.raises(FurrowError) as refused:
        asked(setting)
    assert complaint in str(refused.value) and len(refused.value.problems) == 1
