"""The almanac: enough facts, told in plain statements, and nothing told that will be asked."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from almanac import corpus, questions
from almanac.facts import TABLE, attributes, crops, facts
from almanac.wordings import ANSWERS, QUESTIONS, STATEMENTS, answer_to, cues_of, questions_of, statements_of

DATASETS = Path(__file__).parents[2] / "demos" / "datasets" / "almanac"
QUESTION_WORDS = r"\b(what|which|when|where|how|who|why|whose)\b"


def test_there_are_sixty_crops_and_more_than_four_hundred_facts() -> None:
    assert len(crops()) == 60
    assert len(facts()) == 60 * len(attributes()) > 400


def test_every_cell_of_the_table_is_filled_and_trimmed() -> None:
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    assert {len(row) for row in rows} == {len(attributes()) + 1}
    assert all(cell and cell == cell.strip() for row in rows for cell in row)


def test_no_crop_is_listed_twice() -> None:
    assert max(Counter((fact.crop, fact.attribute) for fact in facts()).values()) == 1


@pytest.mark.parametrize("attribute", attributes())
def test_every_attribute_has_six_wordings_that_name_the_crop_before_the_value(attribute: str) -> None:
    wordings = STATEMENTS[attribute]
    assert len(set(wordings)) == len(wordings) >= 6
    for wording in wordings:
        assert wording.count("$crop") == wording.count("$value") == 1
        assert 0 < wording.index("$crop") < wording.index("$value")


def test_the_attributes_of_table_statements_questions_and_answers_are_the_same() -> None:
    assert set(attributes()) == set(STATEMENTS) == set(QUESTIONS) == set(ANSWERS)


def test_no_statement_tells_two_different_facts() -> None:
    """A sentence that fits two attributes would make both unlearnable."""
    cues = Counter(before for fact in facts() for before, _ in cues_of(fact))
    assert max(cues.values()) == 1


def test_the_corpus_has_no_question_and_no_word_that_begins_one() -> None:
    text = "\n".join(corpus.documents(500, seed=7)) + "\n".join(corpus.every_statement())
    assert "?" not in text
    assert not re.search(rf"(?im)(^|[.:!] ){QUESTION_WORDS}", text)


@pytest.fixture(scope="module")
def whole_corpus() -> str:
    return "\n".join(corpus.documents(12_000, seed=7))


def test_no_answer_can_be_recited_from_the_corpus(whole_corpus: str) -> None:
    assert not [fact for fact in facts() if answer_to(fact) in whole_corpus]


def test_the_corpus_tells_every_fact_in_every_wording(whole_corpus: str) -> None:
    sentences = set(re.split(r"(?<=\.)[ \n]", whole_corpus))
    assert set(corpus.every_statement()) <= sentences


def test_the_corpus_is_a_function_of_its_seed() -> None:
    assert (
        list(corpus.documents(20, seed=1)) == list(corpus.documents(20, seed=1)) != list(corpus.documents(20, seed=2))
    )


def test_every_fact_is_told_about_equally_often() -> None:
    told = {statement: fact for fact in facts() for statement in statements_of(fact)}
    counts: Counter[tuple[str, str]] = Counter()
    for document in corpus.documents(3_000, seed=3):
        counts.update(told[sentence][:2] for sentence in re.split(r"(?<=\.)[ \n]", document))
    assert len(counts) == len(facts())
    assert max(counts.values()) < 2 * min(counts.values())


def test_a_third_of_the_pairs_of_every_crop_and_of_every_attribute_is_held_out() -> None:
    held_out = questions.held_out_pairs()
    assert Counter(crop for crop, _ in held_out) == dict.fromkeys(crops(), 3)
    assert Counter(attribute for _, attribute in held_out) == dict.fromkeys(attributes(), 20)


def test_no_held_out_pair_is_asked_or_answered_in_training() -> None:
    held_out = [fact for fact in facts() if fact[:2] in questions.held_out_pairs()]
    rows = questions.training_rows()
    asked, answered = {row["prompt"] for row in rows}, {row["completion"] for row in rows}
    assert not asked & set(itertools.chain.from_iterable(map(questions_of, held_out)))
    assert not answered & set(map(answer_to, held_out))


def test_no_held_out_pair_is_asked_in_any_other_words_in_training() -> None:
    """Told by crop and the words of the question, not by the functions that made the rows."""
    telling = {
        "family": "family", "sowing": r"when should i sow|month.* sow |sowing month", "harvest": "harvest",
        "soil": "soil|ground", "spacing": "apart|distance|spacing", "depth": "deep|depth",
        "companion": "next to|companion|share", "pest": "pest|protect|look out", "watering": "water(?!melon)",
    }  # fmt: skip
    asked = set()
    for row in questions.training_rows():
        matched = [name for name, words in telling.items() if re.search(words, row["prompt"].lower())]
        named = [
            crop for crop in crops() if re.search(rf"(?<![\w ]){crop}|(?<!red)(?<!spring) {crop}\b", row["prompt"])
        ]
        assert len(matched) == 1 and named, row
        asked.add((max(named, key=len), matched[0]))
    assert len(asked) == len(facts()) - len(questions.held_out_pairs())
    assert not asked & questions.held_out_pairs()


def test_always_giving_the_commonest_answer_would_not_do() -> None:
    """What a model could score that learned from the training rows what is usual, and knew nothing."""
    held_out = questions.held_out_pairs()
    usual = {
        attribute: Counter(f.value for f in facts() if f.attribute == attribute and f[:2] not in held_out).most_common(
            1
        )
        for attribute in attributes()
    }
    hits = [fact.value == usual[fact.attribute][0][0] for fact in facts() if fact[:2] in held_out]
    assert sum(hits) / len(hits) < 0.25


@pytest.mark.parametrize(
    ("name", "rows"),
    [("almanac_qa.jsonl", questions.training_rows), ("almanac_heldout.jsonl", questions.held_out_rows)],
)
def test_the_files_in_the_repository_are_those_that_the_generator_writes(name: str, rows: object) -> None:
    lines = (DATASETS / name).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(rows())  # type: ignore[operator]
