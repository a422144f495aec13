"""What is known of many rows takes memory while it is looked through, and no longer."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from furrow.components.records import Example, Row
from furrow.components.stored import examples
from furrow.components.stored.examples import ExampleWriter
from furrow.components.stored.rows import RowWriter, StoredRows

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is mapped")
COUNT = 20_000


def resident(folder: Path) -> int:
    """Bytes of the files in this folder that are in memory as this process's own."""
    told = Path("/proc/self/smaps").read_text(encoding="utf-8", errors="surrogateescape")
    maps = re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", told)
    return sum(int(re.search(r"\nRss: +(\d+)", each)[1]) << 10 for each in maps if f"{folder}/" in each)


def test_rows_give_back_what_was_looked_through_and_say_the_same_again(tmp_path):
    writer = RowWriter(tmp_path)
    for number in range(COUNT):
        writer.append(Row({"a": number}, f"d:{number}"))
    writer.finish()
    rows = StoredRows.load(tmp_path)
    prints = rows.prints.array.copy()
    assert resident(tmp_path) >= COUNT * 16
    rows.give_back()
    assert resident(tmp_path) == 0
    assert np.array_equal(rows.prints.array, prints) and rows[COUNT - 1].columns == {"a": COUNT - 1}


def test_lengths_of_many_examples_leave_nothing_in_memory_but_themselves(tmp_path, monkeypatch):
    monkeypatch.setattr(examples, "_MANY", COUNT - 1)
    writer = ExampleWriter(tmp_path)
    writer.extend(Example([1] * (1 + number % 7), [True] * (1 + number % 7), "d") for number in range(COUNT))
    stored = writer.finish()
    assert stored[1:].lengths[:3].tolist() == [2, 3, 4] and resident(tmp_path) >= COUNT * 8
    assert stored.lengths[:3].tolist() == [1, 2, 3] and resident(tmp_path) == 0
    assert stored.learned[:3].tolist() == [0, 1, 2] and resident(tmp_path) == 0
