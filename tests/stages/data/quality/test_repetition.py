"""The same character, line or words over and over, against counting them one by one."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from furrow.stages.data.quality.repetition import character_repetition, line_repetition, word_repetition


@given(st.text("ab cé", min_size=15, max_size=60), st.sampled_from([0.3, 0.5, 0.6, 0.9]))
def test_the_short_cut_for_characters_says_what_counting_says(text, most):
    letters = "".join(text.split())
    count = Counter(letters).most_common(1)[0][1] if letters else 0
    expected = len(letters) >= 20 and count > most * len(letters)
    assert (character_repetition(text, most) is not None) == expected


def test_two_of_three_side_by_side_are_enough():
    assert character_repetition("aab" * 10, 0.6) == "is mostly 'a'"
    assert character_repetition("aab" * 10, 0.7) is None


def test_lines_and_words_by_hand():
    assert line_repetition("yes\n\n yes \nyes", 3) == "is one line 3 times"
    assert line_repetition("yes\nyes\nno", 3) is None
    # 24 words, 20 groups of five, of which the six of the first round are new: 14 of 20 have stood there before
    said = "one two three four five six " * 4
    assert word_repetition(said, 0.69) is not None and word_repetition(said, 0.7) is None
