"""A stop text ends the answer wherever the pieces are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from furrow.components.stopping import StopCutter, cut_at_stops


def shown(pieces, stops):
    return "".join(cut_at_stops(pieces, stops))


def by_scanning(text, stops):
    """Reference: look after every single character whether a stop text is complete."""
    for end in range(1, len(text) + 1):
        complete = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if complete:
            return text[: end - max(map(len, complete))]
    return text


def test_a_stop_text_that_straddles_three_pieces_is_cut_with_what_follows():
    assert shown(["plant in ", "May##", "# Us", "er: and"], ["### User:"]) == "plant in May"


def test_the_beginning_of_a_stop_text_is_held_back_until_it_is_none():
    cutter = StopCutter(["\n\nUser"])
    assert [cutter.feed(piece) for piece in ("a\n", "\nU", "nited")] == ["a", "", "\n\nUnited"]
    assert not cutter.stopped


def test_text_that_only_began_a_stop_text_is_shown_when_the_answer_ends():
    assert shown(["beans\n", "\nUs"], ["\n\nUser"]) == "beans\n\nUs"


def test_no_piece_is_asked_for_after_the_stop_text():
    def pieces():
        yield "one STOP"
        raise AssertionError("asked for more")

    assert shown(pieces(), ["STOP"]) == "one "


@pytest.mark.parametrize("stops", [[], [""]])
def test_without_stop_texts_every_piece_comes_through_at_once(stops):
    assert list(cut_at_stops(["a", "b"], stops)) == ["a", "b"]


@given(
    st.lists(st.text("ab#\n", max_size=4), max_size=8),
    st.lists(st.text("ab#\n", max_size=4), max_size=3),
)
def test_however_the_answer_is_cut_into_pieces_it_ends_where_scanning_ends_it(pieces, stops):
    assert shown(pieces, stops) == by_scanning("".join(pieces), stops)
