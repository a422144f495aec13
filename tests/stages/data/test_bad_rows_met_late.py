"""Bad rows that a reader takes for good ones: whoever meets one first sets it aside, and only where that is asked."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import yaml

from furrow.components.errors import RequestError
from furrow.components.records import Row
from furrow.stages import inspect_data
from furrow.stages.data import examples, gather
from furrow.stages.data.bad_rows import BadRows
from furrow.stages.data.examples import ExampleMaker
from furrow.stages.data.rows import load_rows
from furrow.strategies.files import load
from furrow.strategies.schema import PreprocessingConfig

GOOD = [{"prompt": f"What is word {n}?", "completion": f"It is {n * 7}.", "kind": "ab"[n % 2]} for n in range(20)]
GONE = {"prompt": "What is lost?", "completion": "It is gone."}  # without the column kind


@pytest.fixture
def strategy(tmp_path):
    """strategy(rows, **dataset) -> what `load` gives."""

    def strategy(rows, **dataset):
        data = tmp_path / "rows.jsonl"
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        body = {"extends": "demo_minimal", "dataset": {"train_file": str(data), "cache_gb": 0, **dataset}}
        file = tmp_path / "s.yaml"
        file.write_text(yaml.safe_dump({"a": body}))
        return load("a", file)

    return strategy


class Letters:
    """A tokenizer that knows one token."""

    bos_token_id, eos_token_id = None, 0

    def __call__(self, text, **settings):
        return SimpleNamespace(input_ids=[1])


def places(rows):
    return sorted(int(row.where.rpartition(":")[2].partition(" ")[0]) for row in rows)


@pytest.mark.parametrize("kind", ["stratified", "grouped", "k_fold", "hash"])
def test_a_row_without_the_column_of_the_splitter_is_set_aside(strategy, kind):
    splitter = {"type": kind, "by": "kind" if kind == "stratified" else "prompt"}
    bad = GONE if kind == "stratified" else {"completion": "It is gone.", "kind": "a"}
    asked = {"splitter": splitter, **({} if kind == "k_fold" else {"eval_split": 0.2})}
    rows = load_rows(strategy([*GOOD[:3], bad, *GOOD[3:], bad], on_bad_row="skip", **asked), lambda event: None)
    assert [row.where.rpartition(":")[2] for row in rows.bad.found] == ["4", "22"]
    assert places([*rows.train, *rows.evaluation]) == [n for n in range(1, 22) if n != 4]
    assert len(rows.evaluation) and rows.bad.seen == 22
    with pytest.raises(RequestError, match=r"column '\w+' is not there") as stopped:
        load_rows(strategy([*GOOD[:3], bad, *GOOD[3:], bad], **asked), lambda event: None)
    assert stopped.value.where.endswith("rows.jsonl:4")


def test_a_row_without_an_answer_is_set_aside_by_the_split_over_answers(strategy):
    asked = {"eval_split": 0.2, "splitter": {"type": "stratified"}, "on_bad_row": "skip"}
    yes_no = [{"prompt": f"Is it {n}?", "completion": "yes" if n % 2 else "no"} for n in range(20)]
    rows = load_rows(strategy([*yes_no, {"prompt": "q", "completion": None}], **asked), lambda event: None)
    assert len(rows.bad.found) == 1 and places([*rows.train, *rows.evaluation]) == list(range(1, 21))


def test_a_row_of_another_kind_than_the_others_is_set_aside_and_the_rest_split_again(strategy):
    """Alone it is no bad row: only beside the others it is."""
    asked = {"eval_split": 0.2, "splitter": {"type": "time", "by": "at"}, "on_bad_row": "skip"}
    dated = [{**row, "at": n} for n, row in enumerate(GOOD)]
    dated[7]["at"] = dated[9]["at"] = "2024-05-01"
    rows = load_rows(strategy(dated, **asked), lambda event: None)
    assert [row.where.rpartition(":")[2] for row in rows.bad.found] == ["8", "10"]
    assert places(rows.evaluation) == [17, 18, 19, 20]


def test_a_splitter_that_can_use_less_than_half_of_the_rows_is_a_wrong_one(strategy):
    asked = {"eval_split": 0.2, "splitter": {"type": "grouped", "by": "kind"}, "on_bad_row": "skip"}
    with pytest.raises(RequestError, match="6 of 10 rows are bad, too many to set aside"):
        load_rows(strategy([*GOOD[:4], *[GONE] * 6], **asked), lambda event: None)


def test_a_row_that_an_augmentation_cannot_vary_is_set_aside_with_all_that_was_made_of_it(strategy):
    talks = [
        {"messages": [{"role": "user", "content": f"Name {n}."}, {"role": "assistant", "content": "b"}]} for n in "xyz"
    ]
    talks[1] = {"text": "no question"}
    asked = {"augmentation": [{"type": "instruction_variation", "shipped": False, "patterns": ["Please {request}."]}]}
    rows = load_rows(strategy(talks, on_bad_row="skip", **asked), lambda event: None)
    assert [row.where.rpartition(":")[2] for row in rows.bad.found] == ["2"]
    assert 2 not in places(rows.train) and {1, 3} == set(places(rows.train)) and len(rows.train) > 2
    with pytest.raises(RequestError) as stopped:
        load_rows(strategy(talks, **asked), lambda event: None)
    assert stopped.value.where.endswith("rows.jsonl:2")


def test_a_file_that_is_mostly_bad_is_refused_before_it_is_read_whole(strategy, monkeypatch):
    """What is kept of bad rows would else fill the memory first."""
    monkeypatch.setattr(gather, "JUDGED_AT", 100)
    loaded = strategy([*GOOD[:10], *["no object"] * 10_000], on_bad_row="skip")
    with pytest.raises(RequestError, match="90 of 100 rows are bad, too many to set aside"):
        load_rows(loaded, lambda event: None)


def test_rows_that_mostly_do_not_fit_the_template_are_refused_before_all_are_rendered(monkeypatch):
    monkeypatch.setattr(examples, "JUDGED_AT", 100)
    rows = [Row({"text": 1}, f"d.jsonl:{number}", number=number) for number in range(1, 1_000)]
    maker = ExampleMaker(None, Letters(), PreprocessingConfig(), "pretrain", None, BadRows(skip=True))
    with pytest.raises(RequestError, match="100 of 100 rows are bad, too many to set aside"):
        maker.prepare(rows)


def test_two_equal_bad_rows_are_findings_with_what_their_columns_say(strategy):
    talk = {"prompt": "zz", "completion": {}}
    inspection = inspect_data.inspect(strategy([*GOOD, talk, talk]), lambda event: None)
    [twice] = [finding for finding in inspection.findings if finding.rule == "exact_duplicates"]
    assert twice.where[0].endswith(":22") and '"prompt": "zz"' in twice.examples[0]
