"""Errors in the words that were typed: the options, not the keys that they are short for."""

from __future__ import annotations

import json

import pytest

MIX = "m: {dataset: {mix: [{file: a.jsonl}, {file: b.jsonl}]}}"


@pytest.fixture
def here(furrow, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(MIX)
    rows = ({"prompt": f"q{number}", "completion": f"a{number}"} for number in range(20))
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["split", "--input", "r.jsonl", "--splitter", "random", "--by", "x"], "error: --by x: belongs to the types "),
        (["split", "--input", "r.jsonl", "--splitter", "grouped"], "error: --splitter grouped: --by: is missing"),
        (["split", "--input", "r.jsonl", "--folds", "1"], "error: --folds 1: must be at least 2, got 1"),
        (["split", "--input", "r.jsonl", "--splitter", "stratified", "--by", "prompt"], "error: --by: column 'prompt'"),
        (
            ["train", "--strategy", "m", "--strategy-file", "s.yaml", "--train-dataset", "r.jsonl"],
            "error: --train-dataset r.jsonl: dataset.mix (s.yaml:1) says too what is learned",
        ),
        (
            ["data", "inspect", "r.jsonl", "--strategy", "m", "--strategy-file", "s.yaml"],
            "error: FILE r.jsonl: dataset.mix (s.yaml:1) says too what is learned",
        ),
        (["train", "--strategy", "demo_almanac", "r.jsonl"], "Rows to learn are named with --train-dataset FILE."),
        (["data", "inspect", "--strategy", "demo_almanac"], "run the command there, or name rows of your own with"),
        (
            ["data", "inspect", "r.jsonl", "--strategy", "demo_preference"],
            "--eval-dataset FILE, or none with --set dataset.eval_file=null",
        ),
    ],
)
def test_an_error_is_told_in_the_words_that_were_typed(arguments, said, here, furrow):
    ended = furrow(*arguments)
    assert ended.code == 2
    assert said in ended.err
