"""`furrow data`: what the commands take, say and write, and how they end."""

from __future__ import annotations

import json

import pytest

GOOD = [{"prompt": f"What is number {n}?", "completion": f"It is number {n * 7}, of course."} for n in range(30)]


@pytest.fixture
def rows(tmp_path):
    def write(name="rows.jsonl", given=GOOD):
        file = tmp_path / name
        file.write_text("".join(json.dumps(row) + "\n" for row in given))
        return file

    return write


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def test_a_file_is_inspected_without_a_strategy(furrow, rows):
    ended = furrow("data", "inspect", rows())
    assert ended.code == 0, ended.err
    assert "rows: 30 read: 30 to learn, 0 to evaluate on" in ended.out


def test_as_json_the_last_line_is_the_inspection(furrow, rows):
    ended = furrow("data", "inspect", rows(), "--json")
    assert ended.code == 0, ended.err
    *_, last = objects(ended.out)
    assert last["event"] == "inspected" and last["rows"]["train"] == 30 and last["tokens"] is None


def test_an_error_among_the_findings_ends_with_1_and_still_writes_the_page(furrow, rows, tmp_path):
    page = tmp_path / "found.html"
    ended = furrow("data", "inspect", rows(), "--eval-dataset", rows("eval.jsonl", GOOD[:5]), "--html", page)
    assert ended.code == 1 and "error: leakage" in ended.out
    assert "leakage" in page.read_text() and f"written: {page}" in ended.out


def test_the_options_of_train_mean_what_they_mean_to_train(furrow, rows):
    by_option = furrow(
        "data", "inspect", "--train-dataset", rows(), "--set", "data_preprocessing.remove_duplicates=true"
    )
    assert by_option.code == 0 and "30 to learn" in by_option.out
    both = furrow("data", "inspect", rows(), "--train-dataset", rows())
    assert both.code == 2 and "one of them is wanted" in both.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inspect"], "no training data is named"),
        (["inspect", "no/such.jsonl"], "there is no file no/such.jsonl"),
        (["inspect", "x.jsonl", "--strategy-file", "y.yaml"], "--strategy-file wants --strategy"),
        (["inspect", "x.jsonl", "--set", "data_preprocesing.seed=1"], "did you mean 'data_preprocessing'"),
        (["preview", "x.jsonl"], "--strategy"),
        (["preview", "--strategy", "demo_almanac", "--count", "0"], "--count"),
        (["preview", "--strategy", "demo_almanac", "--side", "both"], "--side"),
        (["clean", "no/such.jsonl"], "there is no file no/such.jsonl"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_wanted(furrow, arguments, said):
    ended = furrow("data", *arguments)
    assert ended.code == 2 and said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("command", [["inspect"], ["preview", "--strategy", "demo_almanac"]])
def test_a_page_never_replaces_what_is_no_page(furrow, rows, command):
    file = rows()
    before = file.read_bytes()
    ended = furrow("data", *command, file, "--html", file)
    assert ended.code == 2 and "ends with .html" in ended.err
    assert file.read_bytes() == before


def test_a_preview_shows_what_a_dry_run_shows(furrow):
    shown = furrow("data", "preview", "--strategy", "demo_almanac").out
    rehearsed = furrow("train", "--strategy", "demo_almanac", "--dry-run").out
    rows = shown[shown.index("\n\n") :]
    assert "almanac_qa.jsonl:1: " in rows and "⟦" in rows
    assert rehearsed.endswith(rows)


def test_the_row_that_a_finding_names_can_be_looked_at(furrow, tmp_path):
    page = tmp_path / "row.html"
    ended = furrow(
        "data", "preview", "--strategy", "demo_almanac", "--row", "almanac_qa.jsonl:7", "--json", "--html", page
    )
    [row] = [each for each in objects(ended.out) if each["event"] == "row"]
    assert row["where"].endswith("almanac_qa.jsonl:7")
    assert "almanac_qa.jsonl:7" in page.read_text()


def test_help_of_data_names_its_commands(furrow):
    ended = furrow("data", "--help")
    assert ended.code == 0
    for command in ("inspect", "clean", "preview"):
        assert f"\n  {command} " in ended.out


@pytest.mark.parametrize("strategy", ["demo_almanac", "demo_preference", "demo_classification", "demo_minimal"])
def test_nothing_is_wrong_with_the_rows_that_ship(furrow, strategy):
    ended = furrow("data", "inspect", "--strategy", strategy, "--json")
    assert ended.code == 0, ended.err
    *_, found = objects(ended.out)
    assert [each for each in found["findings"] if each["severity"] == "error"] == []
    assert found["tokens"]["tokens"] > 0 and found["tokens"]["dropped"] == 0


def test_clean_writes_the_rows_that_are_kept_and_lists_the_others(furrow, rows, tmp_path):
    file = rows(given=[*GOOD, GOOD[0], {"prompt": "Why?", "completion": "x" * 80}])
    settings = ("--set", "data_preprocessing.remove_duplicates=true", "--set", "data_preprocessing.filter_quality=true")
    ended = furrow("data", "clean", file, *settings)
    assert ended.code == 0, ended.err
    kept = (tmp_path / "rows_clean.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in kept] == GOOD
    dropped = objects((tmp_path / "rows_dropped.jsonl").read_text())
    assert sorted((each["where"], each["rule"]) for each in dropped) == [
        (f"{file}:31", "remove_duplicates"),
        (f"{file}:32", "filter_quality.character_repetition"),
    ]
    assert ended.out.splitlines()[-2:] == [
        f"30 of 32 rows kept: {tmp_path / 'rows_clean.jsonl'}",
        "dropped, each with its reason: 1 by filter_quality.character_repetition, 1 by remove_duplicates: "
        f"{tmp_path / 'rows_dropped.jsonl'}",
    ]
    again = furrow("data", "clean", file, *settings)
    assert again.code == 2 and "--overwrite" in again.err
    assert json.loads(furrow("data", "clean", file, "--overwrite", "--json").out.splitlines()[-1])["kept"] == 30
