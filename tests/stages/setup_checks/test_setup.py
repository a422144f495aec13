"""The stage as a whole: what passes, what is said of what does not, and what it leaves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from furrow.components.checks import Check
from furrow.components.errors import RequestError
from furrow.stages.setup import setup
from furrow.stages.setup_checks.answers import answers
from furrow.stages.setup_checks.wired import wired_components
from furrow.strategies.files import load

ROW = {"prompt": "Why", "completion": "So"}


@pytest.fixture
def found(tmp_path, model_folder, monkeypatch, no_hub):
    """`found({...})` runs the strategy's checks with `more` laid over one in which all is well: {name: [checks]}."""
    monkeypatch.chdir(tmp_path)

    def run(more=None, provide=False, ask=None, base=None):
        base = base or {"path": str(model_folder)}
        config = {"base_model": base, "training_args": {"output_dir": str(tmp_path / "run"), "eval_strategy": "no"}}
        body = {"components": {"fine_tuner": {"type": "pytorch", "config": config}}, **(more or {})}
        file = tmp_path / "s.yaml"
        file.write_text(json.dumps({"tiny": body}))
        by_name: dict[str, list[Check]] = {}
        for check in setup(load("tiny", file), provide=provide, ask=ask or pytest.fail):
            by_name.setdefault(check.name, []).append(check)
        return by_name

    return run


def statuses(found, name):
    return [check.status for check in found.get(name, [])]


def not_passed(found):
    return [check for checks in found.values() for check in checks if check.status != "passed"]


def test_where_all_is_there_all_passes(found, rows):
    answer = found({"dataset": {"train_file": rows(ROW, {"prompt": "Why not", "completion": "So so"})}})
    assert not_passed(answer) == []
    assert "2 rows to learn" in answer["dataset"][0].found
    assert "46 parameters" in answer["base model"][0].found


def test_lengths_are_those_that_training_will_see(found, rows):
    """By hand: `user Why assistant` + `So` + end is 5 tokens, 2 learned; the longer row has 7, 3 learned."""
    train = rows(ROW, {"prompt": "Why not", "completion": "So so"})
    [lengths] = found({"dataset": {"train_file": train}, "data_preprocessing": {"max_length": 16}})["lengths"]
    assert lengths.found == "median 6 tokens, longest 7, limit 16; 42% are learned"


def test_rows_that_lose_their_answer_fail_where_most_do_and_warn_where_few_do(found, rows):
    long = {"prompt": "Why " * 20, "completion": "So"}
    tight = {"data_preprocessing": {"max_length": 8, "truncation": "cut_answer"}}
    assert statuses(found({"dataset": {"train_file": rows(long)}, **tight}), "rows too long") == ["failed"]
    most = {"dataset": {"train_file": rows(long, {**long, "completion": "Why"}, ROW)}, **tight}
    assert statuses(found(most), "rows too long") == ["failed"]
    answer = found({"dataset": {"train_file": rows(long, ROW, {**ROW, "system": "Be brief"})}, **tight})
    assert statuses(answer, "rows too long") == ["warning"]
    assert "train.jsonl:1" in answer["rows too long"][0].found


def test_a_dataset_that_is_not_there_fails_and_one_that_is_not_named_warns(found, tmp_path):
    [missing] = found({"dataset": {"train_file": str(tmp_path / "gone.jsonl")}})["dataset"]
    assert (missing.status, "gone.jsonl" in missing.found) == ("failed", True)
    [unnamed] = found()["dataset"]
    assert (unnamed.status, "--train-dataset" in unnamed.remedy) == ("warning", True)


def test_a_bad_row_is_named_by_file_and_line(found, rows):
    train = rows(ROW)
    with Path(train).open("a") as file:
        file.write("{broken\n")
    [bad] = found({"dataset": {"train_file": train}})["dataset"]
    assert bad.status == "failed"
    assert bad.found.startswith(f"{train}:2: ")


def test_columns_that_do_not_fit_the_template_are_named(found, rows):
    train = rows(ROW, {"question": "Why"})
    format = {"prompt_template": {"format": "Q: {input}\nA: {output}"}}
    for more in ({}, format):
        [bad] = found({"dataset": {"train_file": train}, **more})["prompt template"]
        assert bad.status == "failed"
        assert f"{train}:2: " in bad.found


def test_a_base_without_chat_template_fails_with_what_to_write_instead(found, rows, model_folder):
    (model_folder / "chat_template.jinja").unlink()
    [bad] = found({"dataset": {"train_file": rows(ROW)}})["prompt template"]
    assert (bad.status, "no chat template" in bad.found, "format" in bad.remedy) == ("failed", True, True)


def test_rows_on_both_sides_are_a_leak(found, rows):
    other = {"prompt": "Why not", "completion": "So"}
    files = {"train_file": rows(ROW, other), "eval_file": rows(ROW, name="eval")}
    [leak] = found({"dataset": files})["train/eval leakage"]
    assert (leak.status, "eval.jsonl:1" in leak.found) == ("failed", True)
    [leak] = found({"dataset": {**files, "on_faulty_data": "warn"}})["train/eval leakage"]
    assert (leak.status, "eval.jsonl:1" in leak.found) == ("warning", True)
    files["eval_file"] = rows({"prompt": "Who", "completion": "So"}, name="eval")
    assert statuses(found({"dataset": files}), "train/eval leakage") == ["passed"]


def test_an_earlier_run_warns_and_a_file_in_the_way_fails(found, tmp_path):
    (tmp_path / "run" / "final_model").mkdir(parents=True)
    [earlier] = found()["output folder"]
    assert (earlier.status, "--overwrite" in earlier.remedy) == ("warning", True)
    (tmp_path / "run" / "final_model").rmdir()
    (tmp_path / "run").rmdir()
    (tmp_path / "run").write_text("in the way")
    assert statuses(found(), "output folder") == ["failed"]


def test_warnings_of_the_strategy_are_shown(found):
    answer = found({"components": {"fine_tuner": {"type": "pytorch", "config": {}}}})
    assert any("no base_model is given" in check.found for check in answer["strategy"] if check.status == "warning")


def test_an_export_asks_for_llama_cpp_and_the_server(found, rows, no_ollama_server, monkeypatch):
    export = {"export": {"to_ollama": True, "quantization": "q4_k_m"}}
    answer = found(export)
    assert statuses(answer, "Ollama") == ["warning"]
    assert statuses(answer, "llama.cpp") == ["passed"]
    assert answer["exports"][0].found == "after training: ollama as q4_k_m"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert statuses(found(export), "llama.cpp") == ["failed"]


@pytest.fixture
def no_ollama_server(monkeypatch):
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")


def test_a_model_of_the_hub_is_downloaded_only_when_setup_provides(found, rows, hub, no_hub):
    data = {"dataset": {"train_file": rows(ROW)}}
    base = {"huggingface_id": "garden/tiny"}
    before = found(data, base=base)
    assert statuses(before, "base model") == ["warning"]
    assert "characters" in before["lengths"][0].found
    assert not no_hub.exists()
    after = found(data, base=base, provide=True)
    assert after["base model"][0].found.startswith("downloaded garden/tiny (")
    assert "median 5 tokens" in after["lengths"][0].found
    assert not_passed(found(data, base=base)) == []


def test_without_a_hub_the_answer_is_its_own_words_not_a_traceback(found):
    for provide in (False, True):
        [check] = found(base={"huggingface_id": "garden/tiny"}, provide=provide)["base model"]
        assert (check.status, "Connection refused" in check.found) == ("failed", True)
        assert "base_model.path" in check.remedy


def test_what_the_user_can_mend_is_a_failed_answer_and_a_bug_is_not_swallowed():
    def mendable():
        yield Check("first", "passed", "")
        raise RequestError("not there", where="a.yaml:3", remedy="put it there")

    def bug():
        yield Check("first", "passed", "")
        raise KeyError("x")

    assert answers("second", mendable())[1] == Check("second", "failed", "a.yaml:3: not there", "put it there")
    with pytest.raises(KeyError):
        answers("second", bug())


WATCH = """
import os, sys
from furrow.cli import main
def tree():
    return {f: os.stat(os.path.join(d, f)).st_mtime_ns for d, _, fs in os.walk(sys.argv[1]) for f in fs}
before = tree()
try:
    main(sys.argv[2:])
except SystemExit as ended:
    code = ended.code
assert tree() == before, "something was written"
heavy = {"torch", "transformers", "datasets", "llama_cpp", "peft"} & set(sys.modules)
assert not heavy, heavy
sys.exit(code)
"""


def test_verify_only_changes_nothing_imports_nothing_heavy_and_exits_by_what_failed(
    fresh_python, tmp_path, model_folder, rows, monkeypatch
):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    command = ["-c", WATCH, tmp_path, "setup", "--strategy", "demo_minimal", "--verify-only", "--json"]
    command += ["--set", f"training_args.output_dir={tmp_path}/run", "--set", f"dataset.train_file={rows(ROW)}"]
    ended = fresh_python(*command, "--set", f"base_model={model_folder}")
    assert (ended.code, ended.err) == (0, "")
    assert {json.loads(line)["status"] for line in ended.out.splitlines()} == {"passed"}
    ended = fresh_python(*command, "--set", "base_model=garden/tiny")
    failed = [check for check in map(json.loads, ended.out.splitlines()) if check["status"] == "failed"]
    assert (ended.code, [check["name"] for check in failed]) == (1, ["base model"]), ended.err
    assert not (tmp_path / "run").exists()


def test_rewards_are_asked_for_too(found, model_folder):
    rewards = [{"function": "length", "config": {"words": 3}}, {"model": "nowhere"}]
    config = {"base_model": {"path": str(model_folder)}, "reward": rewards}
    components = {"fine_tuner": {"type": "trl", "config": config}}
    assert statuses(found({"components": components}), "reward model") == ["failed"]
    strategy = load("tiny", Path("s.yaml")).strategy
    [function] = [wired for wired in wired_components(strategy) if wired.slot == "reward"]
    assert (function.type, function.config.words) == ("length", 3)
