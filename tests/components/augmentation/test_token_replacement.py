"""Words that give way to others."""

from __future__ import annotations

import time

import pytest
from pydantic import ValidationError

from furrow.components.augmentation.token_replacement import TokenReplacement, TokenReplacementConfig
from furrow.components.records import Row

WORDS = {"big": ("large",), "fast": ("quick",), "a lot": ("much",)}


def replaced(text, words=WORDS, **settings):
    config = TokenReplacementConfig(words=words, **{"replaced_share": 1.0, **settings})
    made = list(TokenReplacement(config).variants(Row({"prompt": text, "completion": "a big answer"}, "f:1")))
    assert all(row.columns["completion"] == "a big answer" for row in made)
    return [row.columns["prompt"] for row in made]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("A big, fast dog.", "A large, quick dog."),
        ("BIG and Big and big", "LARGE and Large and large"),
        ("bigger bigot ambig big-endian big's", None),
        ("use a\n lot of big words", "use much of large words"),
        ("bIg", None),
        ("`big` ```\nbig\n``` {big} {{ big }} <big> big@x.org http://x.org/big?big $big$ big_dog big()", None),
        ("big ```\nbig", "large ```\nbig"),
        ("nothing here", None),
    ],
)
def test_whole_words_of_prose_are_replaced_in_their_case(text, wanted):
    assert replaced(text) == ([] if wanted is None else [wanted])


def test_an_article_is_minded():
    words = {"big": ("enormous", "large"), "old": ("ancient", "vintage")}
    assert set(replaced("a big house, an old one", words, variants=20)) == {"a large house, an ancient one"}
    assert replaced("a big house", {"big": ("enormous",)}) == []


def test_a_share_of_the_words_is_replaced_and_one_at_least():
    text = " ".join(["big"] * 10)
    assert replaced(text, replaced_share=0.3)[0].count("large") == 3
    assert replaced("big dog", replaced_share=0.01) == ["large dog"]


def test_each_variant_draws_anew_and_the_same_seed_draws_the_same():
    text, words = " ".join(["big"] * 12), {"big": ("large", "huge", "vast")}
    made = replaced(text, words, variants=10, replaced_share=0.5)
    assert len(set(made)) > 5
    assert made == replaced(text, words, variants=10, replaced_share=0.5)
    assert made != replaced(text, words, variants=10, replaced_share=0.5, seed=1)


def test_an_answer_is_touched_where_it_is_asked_for():
    config = TokenReplacementConfig(words=WORDS, columns=("completion",))
    [made] = TokenReplacement(config).variants(Row({"prompt": "big?", "completion": "a big one"}, "f:1"))
    assert made.columns == {"prompt": "big?", "completion": "a large one"}


def test_a_word_with_signs_is_taken_as_it_stands():
    assert replaced("is C++ (big) fine", {"C++": ("Rust",), "(big)": ("small",)})[0].startswith("is ")


@pytest.mark.parametrize("words", [{}, {"big": ()}, {"": ("x",)}])
def test_an_empty_list_of_words_is_refused(words):
    with pytest.raises(ValidationError):
        TokenReplacementConfig(words=words)


@pytest.mark.parametrize(
    "hostile",
    ["a_", "_", "{", "/a", "`", "1.", "a@", "<", "http://", "a.", "x+", "$", "#", "(", "a", "big_", "a\n", "big 1 "],
)
def test_a_hostile_text_is_gone_through_in_little_time(hostile):
    begin, hostile = time.monotonic(), hostile * (30_000 // len(hostile))
    replaced(f"big {hostile}")
    assert time.monotonic() - begin < 5
