"""A set of prints is what Python's own would be, in a tenth of the memory."""

from __future__ import annotations

import hashlib
import random

from furrow.stages.data.print_set import PrintSet


def print_of(number):
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def test_it_holds_what_was_put_in_and_nothing_else():
    drawn, mine, theirs = random.Random(5), PrintSet(), set()
    for _ in range(20_000):
        each = print_of(drawn.randrange(15_000))
        assert mine.add(each) == (each not in theirs)
        theirs.add(each)
    assert len(mine) == len(theirs)
    assert all((print_of(number) in mine) == (print_of(number) in theirs) for number in range(20_000))


def test_prints_that_fall_on_one_place_are_told_apart_also_the_one_of_zeros():
    prints = [number.to_bytes(8, "little") + bytes(8) for number in (0, 1 << 20, 2 << 20, 3 << 20, 2**64 - 1)]
    found = PrintSet(prints)
    assert len(found) == 5 and all(each in found for each in prints)
    assert (4 << 20).to_bytes(16, "little") not in found


def test_a_row_takes_at_most_24_bytes():
    found = PrintSet(print_of(number) for number in range(50_000))
    assert found._slots.itemsize * len(found._slots) <= 24 * 50_000
