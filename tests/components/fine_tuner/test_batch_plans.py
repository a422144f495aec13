"""Which rows make up which step, also where a run goes on with batches of another size: each row once an epoch."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan

SIZES = st.integers(1, 9)


def plan(rows=12, effective=4, epochs=4.0, max_steps=-1, seed=1):
    return BatchPlan(rows=rows, effective_rows=effective, epochs=epochs, max_steps=max_steps, seed=seed)


def learned(*parts):
    """The rows of the steps, in the order in which they are learned; `parts` are (plan, from step, to step)."""
    return [row for each, first, last in parts for step, rows in each.steps(first) if step <= last for row in rows]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 20), SIZES, SIZES, SIZES, st.data())
def test_each_row_is_learned_once_an_epoch_however_often_the_size_changes(rows, first, second, third, data):
    begun = plan(rows, first, epochs=3)
    one = data.draw(st.integers(0, begun.total_steps))
    then = plan(rows, second, epochs=3).after(one, begun.numbers())
    two = data.draw(st.integers(one, then.total_steps))
    last = plan(rows, third, epochs=3, seed=data.draw(st.sampled_from([1, 2]))).after(two, then.numbers())
    seen = learned((begun, 0, one), (then, one, two), (last, two, math.inf))
    assert len(seen) == 3 * rows
    assert all(sorted(seen[at : at + rows]) == list(range(rows)) for at in range(0, 3 * rows, rows))
    ends = [step for step in range(two + 1, last.total_steps + 1) if last.ends_epoch(step)]
    assert not ends or ends[-1] == last.total_steps


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 30), SIZES, SIZES, st.floats(0.1, 4), st.data())
def test_a_plan_that_is_gone_on_with_unchanged_stays_what_it_was(rows, first, second, epochs, data):
    begun = plan(rows, first, epochs)
    one = data.draw(st.integers(0, begun.total_steps))
    assert plan(rows, first, epochs).after(one, begun.numbers()) == begun
    then = plan(rows, second, epochs).after(one, begun.numbers())
    two = data.draw(st.integers(min(one, then.total_steps), then.total_steps))
    again = plan(rows, second, epochs).after(max(one, two), then.numbers())
    assert again == then and list(again.steps(max(one, two))) == list(then.steps(max(one, two)))


def test_a_fraction_of_an_epoch_ends_where_it_did_before():
    assert plan(epochs=2.1, rows=10, effective=1).total_steps == 21
    assert (
        plan(epochs=2.1, rows=10, effective=1, seed=2).after(20, plan(rows=10, effective=1).numbers()).total_steps == 21
    )
    assert plan(epochs=1.5, effective=4).total_steps == 5  # half of three steps, rounded up
    assert plan(epochs=1.5, effective=2).after(4, plan(effective=4).numbers()).total_steps == 5  # rows 4 to 6 of 12


def test_another_seed_orders_the_epochs_to_come_and_lets_the_one_begun_be():
    old, new = plan(seed=1), plan(seed=2)
    within, between = new.after(4, old.numbers()), new.after(6, old.numbers())
    assert [within.order(epoch) for epoch in (1, 2)] == [old.order(1), new.order(2)]
    assert between.order(2) == new.order(2) != old.order(2)


def test_other_rows_begin_the_epoch_anew():
    after = plan(rows=20).after(4, plan().numbers())
    steps = dict(after.steps(4))
    assert sorted(row for step in range(5, 10) for row in steps[step]) == list(range(20))
    assert after.total_steps == 4 + 3 * 5


def test_steps_and_epochs_are_counted_on():
    after = plan(effective=6).after(4, plan().numbers())
    assert [after.epoch_at(step) for step in (5, 6, 7, 8)] == [1 + 10 / 12, 2.0, 2.5, 3.0]
    assert [after.ends_epoch(step) for step in (5, 6, 7, 8)] == [False, True, False, True]
    assert plan().after(3, None) == plan()


def test_what_came_before_another_size_is_not_told_from_it():
    with pytest.raises(FurrowError, match="other batches"):
        plan(effective=6).after(4, plan().numbers()).position(3)
