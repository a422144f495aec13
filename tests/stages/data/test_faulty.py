"""What ends a run before its first step because it cannot be meant, and what is kept of rows that are dropped."""

import json

import pytest

from furrow.components.errors import RequestError
from furrow.components.events import DataPrepared, RowsSetAside, Warned
from furrow.stages import wire
from furrow.stages.data.training_data import prepare
from furrow.stages.train import train
from furrow.strategies.files import load


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def pair(word, repeats=2):
    return {"prompt": f"What is {word}?", "completion": f"It is {word * repeats}."}


def run(file):
    events = []
    train(load("tiny", file), overwrite=False, emit=events.append)
    return events


SHORT = {"num_train_epochs": 1}


def test_a_run_whose_evaluation_rows_are_learned_does_not_begin(strategy_file, tmp_path):
    learned = written(tmp_path / "train.jsonl", [pair(word) for word in "abcdefgh"])
    measured = written(tmp_path / "eval.jsonl", [pair(word) for word in "xyzb"])
    dataset = {"train_file": learned, "eval_file": measured}
    with pytest.raises(
        RequestError, match=r"1 of 4 evaluation rows \(25%\) is learned too: \S*eval.jsonl:4"
    ) as refused:
        run(strategy_file(dataset=dataset, training_args=SHORT))
    assert refused.value.where == "dataset.eval_file" and "dataset.on_faulty_data: warn" in refused.value.remedy
    assert not (tmp_path / "run" / "metrics.jsonl").exists()
    events = run(strategy_file(dataset={**dataset, "on_faulty_data": "warn"}, training_args=SHORT))
    assert any(isinstance(event, Warned) and "(25%) is learned too" in event.message for event in events)


def test_one_row_in_a_hundred_may_be_on_both_sides(strategy_file, tmp_path):
    learned = written(tmp_path / "train.jsonl", [pair(word) for word in "abcdefgh"])
    measured = written(tmp_path / "eval.jsonl", [pair("a"), *(pair(f"x{number}") for number in range(99))])
    events = run(strategy_file(dataset={"train_file": learned, "eval_file": measured}, training_args=SHORT))
    assert any(isinstance(event, Warned) and "1 of 100 evaluation rows" in event.message for event in events)


def test_a_run_that_would_cut_a_fifth_of_the_answers_does_not_begin(strategy_file, tmp_path):
    rows = [pair(word) for word in "abcdef"] + [pair(word, 40) for word in "xy"]
    blocks = {
        "dataset": {"train_file": written(tmp_path / "train.jsonl", rows)},
        "data_preprocessing": {"max_output_length": 20},
    }
    with pytest.raises(RequestError, match=r"2 of 8 rows \(25%\) lose a part of their answer") as refused:
        run(strategy_file(**blocks, training_args=SHORT))
    assert refused.value.where == "data_preprocessing.max_output_length" and "train.jsonl:7, 8" in refused.value.what


def test_a_warning_of_cut_rows_names_the_limit_that_cut_them(strategy_file, tmp_path):
    rows = [pair(word) for word in "abcdefghi"] + [pair("x", 40)]
    file = written(tmp_path / "train.jsonl", rows)
    told = {}
    for name, limits in {
        "answer": {"max_output_length": 20},
        "row": {"max_length": 40, "truncation": "cut_answer"},
        "prompt": {"max_input_length": 5},
    }.items():
        loaded, events = load("tiny", strategy_file(dataset={"train_file": file}, data_preprocessing=limits)), []
        prepare(loaded, wire.fine_tuner(loaded.strategy).tokenizer, events.append)
        told[name] = next((each.message.split(" cut at ")[1], each.remedy) for each in events if _is_of_cuts(each))
    assert told["answer"] == (f"max_output_length 20: {file}:10", "raise data_preprocessing.max_output_length")
    assert told["row"] == (f"max_length 40: {file}:10", "raise data_preprocessing.max_length")
    assert told["prompt"][1] == "raise data_preprocessing.max_input_length"


def _is_of_cuts(event):
    return isinstance(event, Warned) and " cut at " in event.message


def test_what_was_set_aside_is_said_before_faults_end_the_run(strategy_file, tmp_path):
    lines = [json.dumps(pair(word)) for word in "abcdefgh"]
    learned = tmp_path / "train.jsonl"
    learned.write_text("\n".join([*lines, "{broken", '{"prompt": "What is i?", "completion": null}']))
    dataset = {
        "train_file": str(learned),
        "eval_file": written(tmp_path / "eval.jsonl", [pair("a"), pair("z")]),
        "on_bad_row": "skip",
    }
    events = []
    with pytest.raises(RequestError, match="learned too"):
        train(load("tiny", strategy_file(dataset=dataset)), overwrite=False, emit=events.append)
    [aside] = [event for event in events if isinstance(event, RowsSetAside)]
    [prepared] = [event for event in events if isinstance(event, DataPrepared)]
    assert (aside.rows, aside.of, "train.jsonl:10 (the answer is null)" in aside.first[1]) == (2, 12, True)
    read = prepared.train_rows + prepared.eval_rows + prepared.set_aside_rows + prepared.dropped_rows
    assert (prepared.read_rows, read) == (12, 12)


def test_whatever_is_dropped_stands_in_the_run_folder_with_the_reason(strategy_file, tmp_path):
    rows = [*(pair(word) for word in "abca"), {"prompt": "What is e?", "completion": "..."}]
    blocks = {
        "dataset": {"train_file": written(tmp_path / "train.jsonl", rows)},
        "data_preprocessing": {"filter_quality": {"line_repetition": False}, "remove_duplicates": "exact"},
    }
    run(strategy_file(**blocks, training_args=SHORT))
    kept = [json.loads(line) for line in (tmp_path / "run" / "dropped.jsonl").read_text().splitlines()]
    told = [(each["where"].rpartition("/")[2], each["rule"], each["reason"], each["row"]) for each in kept]
    assert told == [
        ("train.jsonl:5", "filter_quality.empty", "the answer has no letter, digit or symbol", rows[4]),
        ("train.jsonl:4", "remove_duplicates", "equal to an earlier row", rows[3]),
    ]
    assert kept[1]["like"].endswith("train.jsonl:1")


def test_train_says_which_rules_its_rows_break_and_goes_on(strategy_file, tmp_path):
    rows = [
        *(pair(word) for word in "abc"),
        {"prompt": "What is e?", "completion": "It isnâ€™t f, jane.doe@seed.house"},
    ]
    events = run(strategy_file(dataset={"train_file": written(tmp_path / "train.jsonl", rows)}, training_args=SHORT))
    told = [event.message for event in events if isinstance(event, Warned) and "train.jsonl:4" in event.message]
    assert [message.partition(":")[2].rpartition(":")[0].rpartition(":")[0].strip() for message in told] == [
        "the answer holds UTF-8 that was read as Windows-1252",
        "the answer holds an e-mail address",
    ]
    assert "jane" not in "".join(told)
