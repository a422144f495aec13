"""Rows that are set aside: counted on the screen, in the run folder, its manifest and its report; and only there."""

from __future__ import annotations

import json
import shutil

import pytest

from furrow.components.dataset_reader import BadRow
from furrow.components.errors import FurrowError, RequestError
from furrow.components.records import Row
from furrow.stages.data import gather
from furrow.stages.data.bad_rows import BadRows
from tests.reading import read_rows

SETTINGS = {"training_args": {"max_steps": 2, "num_train_epochs": 1}}


@pytest.fixture
def spoiled(strategy_file, tmp_path):
    """The strategy `tiny`, with four bad rows among its sixteen: two that a reader refuses, two that it does not."""
    file = strategy_file(**SETTINGS, dataset={"train_file": str(tmp_path / "qa.jsonl"), "on_bad_row": "skip"})
    data = tmp_path / "qa.jsonl"
    good = data.read_text().splitlines()
    bad = ['{"prompt": "x', '{"prompt": "x", "completion": NaN}', '{"prompt": 1, "completion": "b"}', '{"prompt": "x"}']
    data.write_text("\n".join([good[0], *bad, *good[1:]]) + "\n")
    return file


def test_a_run_sets_bad_rows_aside_and_says_so_everywhere(furrow, spoiled, tmp_path):
    ended = furrow("train", "--strategy-file", spoiled, "--strategy", "tiny")
    assert ended.code == 0, ended.err
    told = next(line for line in ended.out.splitlines() if "rows set aside" in line)
    assert "16 rows read, 4 set aside: 12 rows to train on" in ended.out
    assert "warning: 4 of 16 rows set aside" in told and ", 4 (column 'prompt' is a number" in told
    run = tmp_path / "run"
    assert told.endswith(f"they stand in {run}/bad_rows.jsonl")
    kept = [json.loads(line) for line in (run / "bad_rows.jsonl").read_text().splitlines()]
    assert {(row["file"], row["line"]) for row in kept} == {(str(tmp_path / "qa.jsonl"), n) for n in (2, 3, 4, 5)}
    by_line = {row["line"]: row for row in kept}
    assert by_line[2]["text"] == '{"prompt": "x\n' and "a text is not closed" in by_line[2]["why"]
    assert by_line[4]["text"] == '{"prompt": 1, "completion": "b"}'
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["rows_set_aside"] == 4 and manifest["data"]["train_rows"] == 12
    assert "4 of 16, in" in (run / "report.md").read_text()
    assert "rows set aside" in (run / "report.html").read_text()
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    [event] = [event for event in events if event["event"] == "rows_set_aside"]
    assert (event["rows"], event["of"], len(event["first"])) == (4, 16, 4)
    assert furrow("train", "--strategy-file", spoiled, "--strategy", "tiny", "--overwrite").code == 0
    mended = [f"dataset.train_file={tmp_path / 'good.jsonl'}"]
    lines = (tmp_path / "qa.jsonl").read_text().splitlines()
    (tmp_path / "good.jsonl").write_text("\n".join(lines[5:]))
    assert furrow("train", "--strategy-file", spoiled, "--strategy", "tiny", "--overwrite", "--set", *mended).code == 0
    assert not (run / "bad_rows.jsonl").exists()


def test_a_dry_run_and_setup_count_them_and_write_nothing(furrow, spoiled, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    shown = furrow("train", "--strategy-file", spoiled, "--strategy", "tiny", "--dry-run")
    assert shown.code == 0 and "warning: 4 of 16 rows set aside" in shown.out
    checked = furrow("setup", spoiled, "--strategy", "tiny", "--verify-only")
    assert "4 of 16 rows cannot be used, and train sets them aside" in checked.out
    assert sorted(tmp_path.rglob("*")) == before


def test_by_default_the_first_bad_row_ends_the_run(furrow, spoiled, tmp_path):
    for word in ("stop", "fail"):
        ended = furrow("train", "--strategy-file", spoiled, "--strategy", "tiny", "--set", f"dataset.on_bad_row={word}")
        assert ended.code == 2 and f"{tmp_path}/qa.jsonl:2: invalid JSON" in ended.err
    assert not (tmp_path / "run").exists()
    wrong = furrow("train", "--strategy-file", spoiled, "--strategy", "tiny", "--set", "dataset.on_bad_row=ignore")
    assert wrong.code == 2 and "on_bad_row" in wrong.err and "skip" in wrong.err


def test_split_refuses_a_bad_row_and_writes_nothing(furrow, tmp_path):
    data = tmp_path / "rows.jsonl"
    data.write_text('{"a": 1}\n{"a": \n{"a": 2}\n{"a": 3}\n')
    ended = furrow("split", "--input", data)
    assert ended.code == 2 and f"{data}:2: invalid JSON" in ended.err
    assert list(tmp_path.iterdir()) == [data]


GOOD, SHORT = '{"a": 1}', '{"a": '


def errors_of(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(RequestError) as error:
        read_rows(path)
    return str(error.value).splitlines()


def test_the_error_that_ends_a_run_names_five_bad_rows_and_not_the_first_alone(tmp_path):
    data = tmp_path / "rows.jsonl"
    told = errors_of(data, GOOD, SHORT, GOOD, "[1]", GOOD)
    assert told[0].startswith(f"{data}:2: invalid JSON")
    assert told[1] == f"  {data}:4: the line is a list, an object is wanted"
    assert told[2] == "  2 rows cannot be read; mend them, or set them aside with dataset.on_bad_row: skip"
    told = errors_of(data, GOOD, *[SHORT] * 9)
    assert [line.split(": ")[0].strip() for line in told[:5]] == [f"{data}:{number}" for number in range(2, 7)]
    assert told[5].startswith("  5 rows or more cannot be read") and len(told) == 6


def test_where_no_good_row_comes_before_a_bad_one_that_alone_is_told(tmp_path):
    told = errors_of(tmp_path / "rows.jsonl", f"[{GOOD}]", f"[{GOOD}]", GOOD)
    assert len(told) == 2 and "name it .json" in told[1]


def test_what_is_wrong_with_the_rest_of_a_file_is_told_after_the_bad_rows_before_it(tmp_path):
    data = tmp_path / "rows.csv"
    told = errors_of(data, "a,b", "1,2", "3", '4,"5')
    assert told[0].startswith(f"{data}:3: the row has 1 fields") and told[2].startswith(f"  {data}:4: invalid CSV")


class Reader:
    """A reader of somebody else."""

    def __init__(self, *rows):
        self.rows = rows

    def read(self, path):
        yield from self.rows


@pytest.fixture
def reading(monkeypatch, tmp_path):
    def reading(*rows, skip):
        monkeypatch.setattr(gather, "reader_for", lambda *given: Reader(*rows))
        bad = BadRows(skip=skip)
        return read_rows(tmp_path / "data", bad=bad), bad

    return reading


def test_a_reader_of_another_package_sets_a_row_aside_by_giving_a_bad_row(reading):
    rows = Row({"a": 1}, "d:1"), BadRow("no good", "d:2", "mend it", "x" * 5000), Row({"a": 2}, "d:3")
    kept, bad = reading(*rows, skip=True)
    assert kept == [rows[0], rows[2]] and bad.found == [BadRow("no good", "d:2", "mend it", "x" * 999 + "…")]
    with pytest.raises(RequestError, match="d:2: no good\n  mend it"):
        reading(*rows, skip=False)


@pytest.mark.parametrize("nothing", [None, {"a": 1}])
def test_what_a_reader_gives_that_is_no_row_is_never_passed_over(reading, nothing):
    with pytest.raises(FurrowError, match="must give Row or BadRow"):
        reading(Row({"a": 1}, "d:1"), nothing, skip=True)


def test_an_error_about_something_else_than_the_row_is_raised_even_where_rows_are_set_aside():
    bad, row = BadRows(skip=True), Row({}, "d:1")
    with pytest.raises(FurrowError, match="max_length"), bad.looking_at(row):
        raise RequestError("max_length is too long", where="data_preprocessing.max_length")
    with bad.looking_at(row):
        raise RequestError("no good", where="d:1")
    assert [each.where for each in bad.found] == ["d:1"] and row in bad and Row({}, "d:1") not in bad


def test_a_run_that_sets_rows_aside_is_resumed_on_the_same_rows(furrow, spoiled, tmp_path):
    named = ("--strategy-file", spoiled, "--strategy", "tiny", "--set", "training_args.save_strategy=steps")
    named = (*named, "--set", "training_args.save_steps=1")
    whole = furrow("train", *named, "--output-dir", tmp_path / "whole")
    assert whole.code == 0, whole.err
    assert furrow("train", *named).code == 0
    run = tmp_path / "run"
    checkpoints = sorted((run / "checkpoints").iterdir())
    assert len(checkpoints) == 2
    for made in (checkpoints[1], run / "final_model"):  # as if it had been killed at its second step
        shutil.rmtree(made)
    (run / "bad_rows.jsonl").unlink()
    manifest = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**manifest, "finished": False}))
    resumed = furrow("train", *named, "--resume")
    assert resumed.code == 0, resumed.err
    for name in ("final_model/model.safetensors", "bad_rows.jsonl"):
        assert (run / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
