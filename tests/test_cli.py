"""The command line: exit codes, what is said where, and that nothing ends in a traceback."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import furrow as package
from furrow.strategies import files

SHIPPED = sorted(files.library())

TWO_BAD_STRATEGIES = """\
first:
  training_args:
    learning_rat: 1e-4
    num_train_epochs: 5-10
second:
  export:
    quantization: q4_k_x
  dataset:
    eval_split: 0.9
"""


@pytest.fixture
def bad_file(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text(TWO_BAD_STRATEGIES)
    return file


def test_the_shim_of_a_checkout_and_the_installed_package_have_one_version(fresh_python):
    ended = fresh_python("cli.py", "--version")
    assert ended.code == 0
    assert ended.out.strip() == f"furrow, version {package.__version__}"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_names_every_command_and_ends_with_0(furrow, flag):
    ended = furrow(flag)
    assert ended.code == 0
    for command in ("setup", "train", "complete", "convert", "split", "strategies", "components"):
        assert f"\n  {command} " in ended.out


def test_no_command_shows_the_help_and_is_a_wrong_request(furrow):
    ended = furrow()
    assert ended.code == 2
    assert "Usage: furrow" in ended.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tarin"], "train"),
        (["strategies", "list", "--strategy-fil", "x"], "--strategy-file"),
        (["train"], "--strategy"),
        (["complete", "hello", "--strategy", "demo_almanac", "--compare", "bas"], "base"),
        (["complete", "hello", "--strategy", "demo_almanac", "--max-new-tokens", "many"], "many"),
        (["split"], "--input"),
        (["split", "--input", "rows.jsonl", "--seed", "-1"], "--seed"),
        (["split", "--input", "rows.jsonl", "--eval-percent", "90"], "--eval-percent"),
    ],
)
def test_a_wrong_call_ends_with_2_and_says_what_is_wanted(furrow, arguments, said):
    ended = furrow(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert said in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["strategies", "show", "demo_almanax"],
        ["train", "--strategy", "demo_almanax"],
        ["complete", "hello", "--strategy", "demo_almanax"],
        ["setup", "--strategy", "demo_almanax", "--verify-only"],
        ["setup", "demos/strategies.yaml", "--strategy", "demo_almanax", "--verify-only"],
    ],
)
def test_an_unknown_strategy_names_the_nearest_one(furrow, arguments):
    ended = furrow(*arguments)
    assert ended.code == 2
    assert "did you mean 'demo_almanac'?" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    "arguments", [["strategies", "validate"], ["strategies", "list", "--strategy-file"], ["setup", "--strategy", "x"]]
)
def test_a_file_that_is_not_there_is_named(furrow, arguments):
    ended = furrow(*arguments, "no/such.yaml")
    assert ended.code == 2
    assert "no/such.yaml" in ended.err
    assert "Traceback" not in ended.err


def test_validate_reports_every_problem_of_every_strategy_at_once(furrow, bad_file):
    ended = furrow("strategies", "validate", bad_file)
    assert ended.code == 2
    assert ended.out == ""
    lines = [line for line in ended.err.splitlines() if str(bad_file) in line]
    assert [line.partition(f"{bad_file}:")[2].partition(":")[0] for line in lines] == ["3", "4", "7", "9"]
    assert "did you mean 'learning_rate'?" in lines[0]
    assert "one number is wanted" in lines[1]
    assert "did you mean 'q4_k_" in lines[2]
    assert "at most 0.5, got 0.9" in lines[3]


def test_a_wrong_strategy_stops_train_before_anything_is_made(furrow, bad_file, tmp_path):
    ended = furrow("train", "--strategy", "first", "--strategy-file", bad_file, "--output-dir", tmp_path / "run")
    assert ended.code == 2
    assert f"{bad_file}:3" in ended.err
    assert not (tmp_path / "run").exists()


def test_validate_names_every_strategy_of_a_good_file(furrow):
    ended = furrow("strategies", "validate", "demos/strategies.yaml")
    assert ended.code == 0
    assert ended.out.splitlines() == [f"{name}: valid" for name in files.names(Path("demos/strategies.yaml"))]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training_args.learning_rat=1e-4", "did you mean 'learning_rate'?"),
        ("training_args.learning_rate=fast", "a number is wanted, got text 'fast'"),
        ("training_args.learning_rate", "wanted is key=value"),
        ("=1", "wanted is key=value"),
        ("training_args.max_steps=1-5", "one number is wanted"),
    ],
)
def test_a_wrong_set_is_blamed_on_itself(furrow, override, said):
    ended = furrow("strategies", "show", "demo_almanac", "--set", override)
    assert ended.code == 2
    assert f"--set {override}" in ended.err
    assert said in ended.err


def test_set_changes_the_key_and_the_last_one_wins(furrow):
    ended = furrow("strategies", "show", "demo_almanac", "--set", "method.r=4", "--set", "method.r=8")
    assert ended.code == 0
    [strategy] = yaml.safe_load(ended.out).values()
    assert strategy["components"]["fine_tuner"]["config"]["method"]["r"] == 8


@pytest.mark.parametrize(("option", "value"), [("--temperature", "-1"), ("--top-p", "2"), ("--max-new-tokens", "0")])
def test_generation_options_are_verified_like_the_keys_they_are_short_for(furrow, option, value):
    ended = furrow("complete", "hello", "--strategy", "demo_almanac", option, value)
    assert ended.code == 2
    assert re.search(rf"error: {option} {value}(\.0)?: must be", ended.err)


def test_an_option_beats_a_set_of_the_same_key(furrow):
    arguments = ("complete", "hello", "--strategy", "demo_almanac", "--temperature", "-1")
    ended = furrow(*arguments, "--set", "generation.temperature=-2")
    assert "got -1" in ended.err


@pytest.mark.parametrize("name", SHIPPED)
def test_what_show_prints_loads_again_as_the_same_strategy(furrow, tmp_path, name):
    shown = furrow("strategies", "show", name)
    assert shown.code == 0
    file = tmp_path / "shown.yaml"
    file.write_text(shown.out)
    again = furrow("strategies", "show", name, "--strategy-file", file)
    assert again.code == 0
    assert again.out == shown.out
    assert files.load(name, file).strategy == files.load(name).strategy


def test_notes_go_to_standard_error_and_leave_the_output_clean(furrow):
    ended = furrow("strategies", "show", "training_cuda_datacenter", "--set", "training_args.temperature=0.5")
    assert ended.code == 0
    assert "taken as generation.temperature" in ended.err
    [strategy] = yaml.safe_load(ended.out).values()
    assert strategy["generation"]["temperature"] == 0.5


def test_lists_are_one_json_object_a_line_on_request(furrow):
    strategies = [json.loads(line) for line in furrow("strategies", "list", "--json").out.splitlines()]
    assert sorted(each["name"] for each in strategies) == SHIPPED
    components = [json.loads(line) for line in furrow("components", "list", "--json").out.splitlines()]
    assert {"slot": "fine_tuner", "type": "pytorch", "package": "furrow"}.items() <= next(
        each for each in components if each["type"] == "pytorch"
    ).items()


def test_every_component_that_ships_can_be_used(furrow):
    listed = furrow("components", "list").out
    assert "exporter\tgguf\tfurrow\t" in listed
    assert "unusable" not in listed


def test_the_schema_is_json_that_knows_the_keys(furrow):
    schema = json.loads(furrow("strategies", "schema").out)
    assert {"components", "dataset", "training_args", "extends"} <= schema["$defs"]["Strategy"]["properties"].keys()


def test_complete_before_training_names_the_command_that_trains(furrow, tmp_path):
    place = f"training_args.output_dir={tmp_path / 'run'}"
    ended = furrow("complete", "hello", "--strategy", "demo_almanac", "--set", place)
    assert ended.code == 1
    assert "train --strategy demo_almanac" in ended.err
    assert "Traceback" not in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("no/such/model", ["--format", "gguf"], "no/such/model does not exist"),
        ("weights", ["--format", "ggfu"], "did you mean 'gguf'?"),
        ("weights", ["--format", "merged", "--quantization", "f16"], "has no quantization"),
        ("weights", ["--format", "gguf", "--quantization", "q4_k_x"], "did you mean 'q4_k_"),
    ],
)
def test_convert_refuses_what_it_cannot_do_before_any_work(furrow, monkeypatch, tmp_path, source, options, said):
    monkeypatch.chdir(tmp_path)
    Path("weights").mkdir()
    Path("weights", "config.json").write_text("{}")
    ended = furrow("convert", source, "out", *options)
    assert ended.code == 2
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not Path("out").exists()


def test_convert_keeps_what_is_there(furrow, tmp_path):
    (tmp_path / "out").mkdir()
    ended = furrow("convert", tmp_path, tmp_path / "out", "--format", "gguf")
    assert ended.code == 2
    assert "exists already" in ended.err


def test_control_characters_of_a_request_do_not_reach_the_terminal(furrow):
    ended = furrow("strategies", "show", "evil\x1b]52;c;aGk=\x07")
    assert ended.code == 2
    assert "evil" in ended.err
    assert "\x1b]52" not in ended.err


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGINT), 130),
        (lambda: os.kill(os.getpid(), signal.SIGTERM), 143),
    ],
)
def test_a_signal_ends_with_its_own_code_and_no_traceback(furrow, monkeypatch, happens, code):
    # Python leaves SIGINT alone where it was started with SIGINT ignored, as in the background of a shell script.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(files, "summaries", lambda file: happens())
    try:
        ended = furrow("strategies", "list")
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.code == code
    assert "Traceback" not in ended.err


def test_a_reader_that_goes_away_leaves_no_traceback(root):
    command = [sys.executable, "cli.py", "strategies", "schema"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 1
    assert said == ""
