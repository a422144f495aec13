"""How far a long piece of work is: said about once a second."""

from __future__ import annotations

import pytest

from furrow.components import progress
from furrow.components.progress import counted


class Clock:
    """Stands in for the module `time`."""

    now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    stand_in = Clock()
    monkeypatch.setattr(progress, "time", stand_in)
    return stand_in


def test_work_of_less_than_a_second_is_not_told(clock):
    told = []
    assert list(counted(range(1000), told.append, "reading")) == list(range(1000))
    assert told == []


def test_longer_work_is_told_once_a_second_and_ends_whole(clock):
    told = []
    for _ in counted(range(10), told.append, "reading", 10):
        clock.now += 0.4
    assert [(event.done, event.total) for event in told] == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_where_nobody_knows_how_much_there_is_only_the_end_says_it(clock):
    told = []
    for _ in counted(iter("abc"), told.append, "reading"):
        clock.now += 2
    assert [(event.done, event.total) for event in told] == [(1, None), (2, None), (3, None), (3, 3)]
