"""Examples on disk: what is read back is what was written, and what is known of them is what they say."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.records import (
    Classified,
    Example,
    Judged,
    Pair,
    largest_id,
    learned_tokens,
    longest,
    sequence_lengths,
    total_tokens,
)
from furrow.components.stored.examples import ExampleWriter, StoredExamples

WHERE = st.text(min_size=1, max_size=12)
TOKENS = st.lists(st.tuples(st.integers(0, 2**31 - 1), st.booleans()), min_size=1, max_size=9)


@st.composite
def sequences(draw, where, weighted=False):
    tokens = draw(TOKENS)
    ids, learned = [token for token, _ in tokens], [marked for _, marked in tokens]
    weights = [draw(st.floats(0, 1)) for _ in ids] if weighted and draw(st.booleans()) else None
    return Example(ids, learned, where, weights)


@st.composite
def examples(draw):
    where = draw(WHERE)
    kind = draw(st.sampled_from(("example", "pair", "judged", "classified")))
    one, other = draw(sequences(where, weighted=True)), draw(sequences(where))
    if kind == "pair":
        return Pair(one, other, where, draw(st.none() | st.floats(allow_nan=False, allow_infinity=False)))
    if kind == "judged":
        return Judged(one, draw(st.booleans()), where, other)
    return Classified(other, draw(st.integers(0, 2**40)), where) if kind == "classified" else one


def stored(folder, rows, sources=None):
    writer = ExampleWriter(folder)
    for number, row in enumerate(rows):
        writer.append(row, sources[number] if sources else 0)
    return writer.finish()


@settings(max_examples=60, deadline=None)
@given(st.lists(examples(), max_size=12))
def test_what_is_read_back_is_what_was_written(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("examples")
    first, again = stored(folder, rows), StoredExamples.load(folder)
    for found in (first, again):
        assert list(found) == rows
        assert [found[place] for place in range(len(rows))] == rows
        assert len(found) == len(rows)


@settings(max_examples=60, deadline=None)
@given(st.lists(examples(), max_size=12), st.data())
def test_the_figures_are_those_of_the_examples_themselves_also_of_some_of_them(tmp_path_factory, rows, data):
    found = stored(tmp_path_factory.mktemp("examples"), rows)
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=20)) if rows else []
    for view, plain in ((found, rows), (found.only(places), [rows[place] for place in places]), (found[1:], rows[1:])):
        assert list(view) == plain
        assert total_tokens(view) == total_tokens(plain)
        assert learned_tokens(view) == learned_tokens(plain)
        assert longest(view) == longest(plain)
        assert view.lengths.tolist() == [total_tokens([row]) for row in plain]
        assert view.learned.tolist() == [learned_tokens([row]) for row in plain]
        assert view.marked_tokens == sum(sum(one.learned) for row in plain for one in row.sequences)
        for place in range(len(plain)):
            assert sequence_lengths(view, place) == sequence_lengths(plain, place)
    assert largest_id(found) >= largest_id(rows)


def test_beside_the_tokens_stand_margins_verdicts_classes_and_the_sets_they_come_from(tmp_path):
    one = Example([1, 2], [False, True], "a:1")
    rows = [
        Pair(one, one, "a:1"),
        Pair(one, one, "a:1", 0.25),
        Judged(one, True, "a:1", one),
        Classified(one, 7, "a:1"),
    ]
    found = stored(tmp_path, rows, sources=[0, 3, 1, 65535])
    assert math.isnan(found.values[0]) and found.values[1:].tolist() == [0.25, 1.0, 7.0]
    assert found.only([3, 1]).sources.tolist() == [65535, 3]


@pytest.mark.parametrize("bad", [2**31, 2**40])
def test_a_token_that_does_not_fit_is_refused(tmp_path, bad):
    writer = ExampleWriter(tmp_path)
    with pytest.raises(OverflowError):
        writer.append(Example([bad], [True], "a:1"))
        writer.finish()


def test_a_place_that_is_no_unicode_comes_back_as_it_was(tmp_path):
    rows = [Example([1], [True], "caf\udce9.jsonl:3"), Example([1], [True], "two\nlines.jsonl:1")]
    assert list(stored(tmp_path, rows)) == rows


READER = """
import sys, random
from pathlib import Path
from furrow.components.stored.examples import StoredExamples
found = StoredExamples.load(Path(sys.argv[1]))
def own():
    return {line.split(":")[0]: int(line.split()[1]) for line in open("/proc/self/status") if "kB" in line}["VmRSS"]
before, peak, chance = own(), 0, random.Random(0)
for count in range(600):
    found[chance.randrange(len(found))]
    peak = max(peak, own()) if count % 20 == 0 else peak
for count, row in enumerate(found):
    peak = max(peak, own()) if count % 200 == 0 else peak
print((peak - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_all_of_it_does_not_make_the_process_grow_beyond_what_may_stay_mapped(tmp_path):
    writer, ids = ExampleWriter(tmp_path), np.arange(20_000).tolist()
    example = Example(ids, [True] * len(ids), "a:1")
    for _ in range(2500):  # 200 MB
        writer.append(example)

    done = writer.finish()
    assert done.total_tokens == 2500 * 20_000
    command = [sys.executable, "-c", READER, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(told.stdout) < 110, "of 200 MB, 64 may stay mapped"
