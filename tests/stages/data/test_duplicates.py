"""Near duplicates: how many of the planted ones are found, and that nothing else is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from furrow.components.records import Row
from furrow.stages.data.duplicates import near_groups
from furrow.stages.data.minhash import MinHash
from furrow.stages.data.shingles import GROUP, Shingled, compared, jaccard, shingles


def words(seed, count):
    draw = random.Random(seed)
    syllables = [consonant + vowel for consonant in "bcdfghklmnprstvw" for vowel in "aeiou"]
    return ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(count)]


VOCABULARY = words(0, 2000)


def row(draw, shortest=20, longest=80):
    question = " ".join(draw.choices(VOCABULARY, k=8)).capitalize() + "?"
    answer = " ".join(draw.choices(VOCABULARY, k=draw.randint(shortest, longest))).capitalize() + "."
    return {"prompt": question, "completion": answer}


def edited(kind, columns, draw):
    said = columns["completion"].split()
    at = draw.randrange(1, len(said) - 1)
    match kind:
        case "word replaced":
            said[at] = draw.choice(VOCABULARY)
        case "words swapped":
            said[at - 1], said[at] = said[at], said[at - 1]
        case "word inserted":
            said.insert(at, draw.choice(VOCABULARY))
        case "punctuation and case":
            said = [word.upper() + draw.choice(",;: ") for word in said]
        case "truncated":
            said = said[: -max(1, len(said) // 10)]
    return {**columns, "completion": " ".join(said)}


KINDS = ("word replaced", "words swapped", "word inserted", "punctuation and case", "truncated")


def test_planted_near_duplicates_are_found_and_no_others():
    draw = random.Random(1)
    originals = [row(draw) for _ in range(1500)]
    edits = [(draw.randrange(1500), KINDS[number % 5]) for number in range(500)]
    rows = originals + [edited(kind, originals[at], draw) for at, kind in edits]
    first = near_groups([Row(columns, f"d:{number}") for number, columns in enumerate(rows)], 0.8)
    found = [first[1500 + number] == at for number, (at, _) in enumerate(edits)]
    by_kind = {
        kind: np.mean([hit for hit, (_, other) in zip(found, edits, strict=True) if other == kind]) for kind in KINDS
    }
    assert min(by_kind.values()) >= 0.95, by_kind
    assert first[:1500].tolist() == list(range(1500))
    assert all(first[1500 + number] in (at, 1500 + number) for number, (at, _) in enumerate(edits))


def test_who_has_the_place_of_another_is_like_that_very_row():
    """A chain: each row shares nearly all with the one before, and less and less with the first."""
    said = VOCABULARY[:60]
    chain = [" ".join(VOCABULARY[500 : 500 + 2 * step] + said[2 * step :]) for step in range(12)]
    rows = [Row({"text": text}, f"d:{number}") for number, text in enumerate(chain)]
    first = near_groups(rows, 0.8)
    assert len(set(first.tolist())) > 2
    for number, place in enumerate(first.tolist()):
        assert place <= number and first[place] == place
        assert jaccard(shingles(chain[number]), shingles(chain[place])) >= 0.8


def pair(prompt, completion, **more):
    return {"prompt": prompt, "completion": completion, **more}


CHINESE = "胡萝卜喜欢深厚疏松的沙质土壤和充足的阳光照射"
GAP = "Leave a gap of about N cm between all plants of one row."
PASSAGE = " ".join(VOCABULARY[:60])


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        (pair("What is it?", "It is  a carrot."), pair("what is it", "IT IS A CARROT!"), True),
        (pair("Yes?", "Yes."), pair("yes", "yes"), True),
        (pair("Which soil suits leeks?", "Deep loam."), pair("Which soil suits peas?", "Deep loam."), False),
        (pair("a", "The family of leek is Allium."), pair("a", "The family of wild leek is Allium."), False),
        (pair(PASSAGE + " Who?", "Jane Doe"), pair(PASSAGE + " Where?", "In Rome"), False),
        (pair(PASSAGE, GAP.replace("N", "10")), pair(PASSAGE, GAP.replace("N", "15")), False),
        ({"text": PASSAGE, "label": "a"}, {"text": PASSAGE, "label": "b"}, False),
        ({"text": PASSAGE, "id": 1}, {"text": PASSAGE.upper(), "id": 2}, True),
        ({"text": PASSAGE, "label": 1}, {"text": PASSAGE + ".", "label": 1}, True),
        ({"text": CHINESE}, {"text": CHINESE[:-1] + "耀"}, True),
        (
            {"messages": [{"role": "user", "content": PASSAGE}, {"role": "assistant", "content": "Yes, it is."}]},
            {"messages": [{"role": "user", "content": PASSAGE}, {"role": "assistant", "content": "Never do that."}]},
            False,
        ),
    ],
)  # fmt: skip
def test_rows_are_compared_by_what_they_say(one, other, alike):
    rows = [Row(one, "d:1"), Row({"text": "something else"}, "d:2"), Row(other, "d:3")]
    assert near_groups(rows, 0.8).tolist() == [0, 1, 0 if alike else 2]
    assert Shingled.of(rows[0]).is_like(Shingled.of(rows[2]), 0.8) == alike


def test_shingles_and_jaccard_by_hand():
    assert shingles("abcdefg") == {"abcde", "bcdef", "cdefg"}
    assert (shingles("abc"), shingles("")) == ({"abc"}, frozenset())
    assert jaccard(shingles("abcdefg"), shingles("abcdefh")) == 2 / 4
    assert jaccard(frozenset(), frozenset()) == 1
    assert compared(Row(pair("A  b!", "C, d", id=7), "d:1")).whole == "a b c d"


@pytest.mark.parametrize("similarity", [0.5, 0.65, 0.8, 0.9, 0.95, 1.0])
def test_pairs_just_at_the_similarity_share_a_band_but_for_one_in_two_hundred(similarity):
    hashing = MinHash.finding(similarity, GROUP)
    assert hashing.hashes <= 128
    assert 1 - (1 - similarity**hashing.rows) ** hashing.bands >= 0.995


def test_equal_hashes_estimate_the_jaccard_similarity():
    draw, hashing = random.Random(2), MinHash.finding(0.8, GROUP)
    errors = []
    for _ in range(200):
        text = " ".join(draw.choices(VOCABULARY, k=40))
        other = text[: draw.randrange(100, len(text))] + " ".join(draw.choices(VOCABULARY, k=5))
        one, two = hashing.signatures([text, other])
        errors.append((one == two).mean() - jaccard(shingles(text), shingles(other)))
    assert abs(np.mean(errors)) < 0.01  # 0.04 / sqrt(200), three times
    assert np.std(errors) < 1.3 * np.sqrt(0.25 / hashing.hashes)


def test_a_signature_does_not_depend_on_the_texts_beside_it():
    hashing = MinHash.finding(0.8, GROUP)
    texts = ["ab", "", "a longer text than the others", "äöü 胡萝卜"]
    together = hashing.signatures(texts)
    assert all((together[number] == hashing.signatures([text])[0]).all() for number, text in enumerate(texts))


def test_nothing_and_one_row_are_no_duplicates():
    assert near_groups([], 0.8).tolist() == []
    assert near_groups([Row({"text": "a"}, "d:1")], 0.8).tolist() == [0]
