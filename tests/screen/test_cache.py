"""`furrow data cache` lists what is kept and removes it."""

from __future__ import annotations

import json

from furrow.stages.data.cache import Cache


def kept(folder, key):
    def make(place, say):
        (place / "content").write_bytes(b"x" * 1000)

    return Cache(folder, 10**9).provide("rows", key, f"{key}.jsonl", make, lambda event: None)


def test_what_is_kept_is_listed_and_removed_unless_it_is_in_use(furrow, tmp_path):
    in_use, _ = kept(tmp_path, "one"), kept(tmp_path, "two")
    del _
    listed = furrow("data", "cache", "--cache-dir", tmp_path)
    assert listed.code == 0 and "one.jsonl" in listed.out and "two.jsonl" in listed.out
    records = [json.loads(line) for line in furrow("data", "cache", "--cache-dir", tmp_path, "--json").out.splitlines()]
    assert {record["of"]: record["bytes"] for record in records} == {"one.jsonl": 1000, "two.jsonl": 1000}
    assert "1 entries removed, 1 kB; 1 stay" in furrow("data", "cache", "--cache-dir", tmp_path, "--clear").out
    assert in_use.path.is_dir()
    del in_use
    furrow("data", "cache", "--cache-dir", tmp_path, "--clear")
    assert "nothing in" in furrow("data", "cache", "--cache-dir", tmp_path).out


def test_where_nothing_was_ever_kept_nothing_is_made(furrow, tmp_path):
    assert furrow("data", "cache", "--cache-dir", tmp_path / "none").code == 0
    assert not (tmp_path / "none").exists()
