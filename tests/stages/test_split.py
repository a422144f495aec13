"""`split`: two files that together are the input."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from furrow.components.disk.storage import StorageError
from furrow.components.errors import RequestError
from furrow.stages.split import split as run_split
from furrow.stages.split import split_folds
from furrow.strategies.files import without_strategy

LINES = [b'{"prompt":   "%d",  "completion": "\\u00e9"}' % number for number in range(20)]


def dataset(**splitter):
    overrides = [f"dataset.splitter.{key}={json.dumps(value)}" for key, value in splitter.items()]
    return without_strategy(overrides).strategy.dataset


def split(source, percent=None, output_dir=None, overwrite=False, **splitter):
    return run_split(source, dataset(**splitter), percent, output_dir, overwrite)


def write(folder, data, name="data.jsonl"):
    path = folder / name
    path.write_bytes(data)
    return path


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_lines_of_a_jsonl_file_are_copied_byte_for_byte(tmp_path):
    made = split(write(tmp_path, b"\xef\xbb\xbf" + b"\r\n\r\n".join(LINES)), 10)
    assert (made.train_file, made.eval_file) == (tmp_path / "data_train.jsonl", tmp_path / "data_eval.jsonl")
    assert (made.train_rows, made.eval_rows) == (18, 2)
    train, evaluation = (path.read_bytes().splitlines() for path in (made.train_file, made.eval_file))
    assert sorted(train + evaluation) == sorted(LINES)
    assert train == [line for line in LINES if line in train]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("data.json", json.dumps([{"text": f"é {n}"} for n in range(10)]).encode()),
        ("data.csv", b"text\n" + "".join(f"é {n}\n" for n in range(10)).encode()),
    ],
)
def test_other_files_become_json_lines(tmp_path, name, data):
    made = split(write(tmp_path, data, name), 20, tmp_path / "new" / "folder")
    rows = [json.loads(line) for file in (made.train_file, made.eval_file) for line in file.read_text().splitlines()]
    assert made.eval_rows == 2
    assert sorted(row["text"] for row in rows) == [f"é {n}" for n in range(10)]


def test_the_seed_decides(tmp_path):
    source = write(tmp_path, b"\n".join(LINES))
    evaluated = []
    for seed in (1, 1, 2):
        made = split(source, 20, overwrite=True, seed=seed)
        evaluated.append(made.eval_file.read_bytes())
    assert evaluated[0] == evaluated[1] != evaluated[2]


@pytest.mark.parametrize("there", ["data_train.jsonl", "data_eval.jsonl"])
def test_a_file_that_is_there_is_not_overwritten_unless_told_to(tmp_path, there):
    source = write(tmp_path, b"\n".join(LINES))
    write(tmp_path, b"mine", there)
    before = contents(tmp_path)
    with pytest.raises(RequestError, match=f"{there} exists already\n.*--overwrite"):
        split(source, 10)
    assert contents(tmp_path) == before
    split(source, 10, overwrite=True)
    assert contents(tmp_path)[there] != b"mine"


@pytest.mark.parametrize(
    ("data", "percent", "wrong"),
    [
        (b'{"a": "1"}\nno\n', 10, "data.jsonl:2: invalid JSON"),
        (b'{"a": "1"}\n{"a": "1"}\n', 10, "no two different rows"),
        (b'{"a": "1"}\n{"a": "2"}\n', 0, "0 percent"),
        (b'{"a": "1"}\n{"a": "2"}\n', 51, "51 percent"),
        (b'{"a": "1"}\n{"a": "2"}\n', float("nan"), "nan percent"),
        (b'{"a": "1"}\n{"a": "2"}\n', "90/20", "'90/20' is no ratio of 100 percent\n.*90/10"),
        (b'{"a": "1"}\n{"a": "2"}\n', "40/60", "60 percent is not more than 0"),
    ],
)
def test_a_wrong_request_writes_nothing(tmp_path, data, percent, wrong):
    source = write(tmp_path, data)
    with pytest.raises(RequestError, match=wrong):
        split(source, percent)
    assert list(contents(tmp_path)) == ["data.jsonl"]


@pytest.mark.parametrize(("asked", "rows"), [("90/10", 2), ("80:20", 4), ("auto", 1), (None, 2)])
def test_a_ratio_says_the_same_as_a_percentage(tmp_path, asked, rows):
    made = split(write(tmp_path, b"\n".join(LINES)), asked)
    assert (made.train_rows, made.eval_rows) == (20 - rows, rows)
    assert any("k_fold splitter with 5 folds, or 95/5" in note for note in made.notes)


def test_what_a_column_leaves_out_gets_a_file_of_its_own(tmp_path):
    sides = ["train", "validation", "test", "train"]
    rows = [json.dumps({"text": str(number), "split": side}) for number, side in enumerate(sides)]
    made = split(write(tmp_path, "\n".join(rows).encode()), type="file")
    assert (made.train_rows, made.eval_rows, made.left_out_rows) == (2, 1, 1)
    assert (tmp_path / "data_left_out.jsonl").read_text() == rows[2] + "\n"
    with pytest.raises(RequestError, match="'file' decides itself how much"):
        split(tmp_path / "data.jsonl", 10, type="file", overwrite=True)


def test_all_folds_are_written_and_each_row_is_evaluated_on_once(tmp_path):
    source = write(tmp_path, b"\n".join(LINES))
    made = split_folds(source, dataset(type="k_fold", folds=3))
    assert [(each.fold, each.train_rows + each.eval_rows) for each in made] == [(1, 20), (2, 20), (3, 20)]
    evaluated = [line for each in made for line in each.eval_file.read_bytes().splitlines()]
    assert sorted(evaluated) == sorted(LINES)
    for each in made:
        assert sorted(each.train_file.read_bytes().splitlines() + each.eval_file.read_bytes().splitlines()) == sorted(
            LINES
        )
    assert made[0].train_file.name == "data_fold1_train.jsonl"
    with pytest.raises(RequestError, match=r"data_fold1_train.jsonl exists already"):
        split_folds(source, dataset(type="k_fold", folds=3))


def test_when_the_second_file_cannot_be_written_neither_is_there(tmp_path, monkeypatch):
    source = write(tmp_path, b"\n".join(LINES))
    opened = Path.open

    def full(path, mode="r", *rest, **named):
        if "data_eval" in path.name and mode == "wb":
            raise OSError(28, "No space left on device")
        return opened(path, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StorageError, match="the disk is full"):
        split(source, 10)
    assert list(contents(tmp_path)) == ["data.jsonl"]


def test_the_guides_command_does_it(tmp_path):
    write(tmp_path, b"\n".join(LINES))
    script = Path(__file__).parents[2] / "demos" / "create_data_split.py"
    done = subprocess.run(
        [sys.executable, str(script), "--input", "data.jsonl", "--eval-percent", "15"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "data_eval.jsonl").read_text().splitlines()) == 3
