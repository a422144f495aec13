"""What events say in words."""

from __future__ import annotations

import pytest

from furrow.components.events import listed


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        (["demos/datasets/almanac/qa.jsonl:8"], "demos/datasets/almanac/qa.jsonl:8"),
        ([f"demos/datasets/almanac/qa.jsonl:{n}" for n in (8, 9, 1)], "demos/…/qa.jsonl:8, 9, 1"),
        ([f"/tmp/a/b/qa.jsonl:{n}" for n in range(7)], "/tmp/…/qa.jsonl:0, 1, 2, 3, 4 and 2 more"),
        (["a/q.jsonl:1", "b.json:2", "a/q.jsonl:3"], "a/q.jsonl:1, 3, b.json:2"),
        (["d/q.csv:3 (blank: yes)", "d/q.csv:4 (null, too)"], "d/q.csv:3 (blank: yes), 4 (null, too)"),
        (["no place", "p:1"], "no place, p:1"),
    ],
)
def test_rows_of_one_file_name_it_once(rows, text):
    assert listed(rows) == text
