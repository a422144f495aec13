"""The rows, the base model and the versions that a run began with are told from others, wherever they lie."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch
from transformers import LlamaForCausalLM

from furrow.components.errors import RequestError
from furrow.components.events import StepEnded, TrainingStarted, Warned
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.resume import NEWEST

NOTHING_BEGUN = "not what the run began with"


def rows_of(tmp_path):
    return [json.loads(line) for line in (tmp_path / "qa.jsonl").read_text().splitlines()]


def losses(events):
    return [event.loss for event in events if isinstance(event, StepEnded)]


def test_the_same_rows_in_another_file_and_format_are_the_same_data(go, cut_run, tmp_path):
    rows = rows_of(tmp_path)
    with (tmp_path / "elsewhere.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["completion", "prompt"])
        writer.writeheader()
        writer.writerows(rows)
    run, _ = go(resume=NEWEST, overrides=[f"dataset.train_file={tmp_path / 'elsewhere.csv'}"])
    manifest = run.read_manifest()
    assert manifest["finished"] and manifest["changes"] == []


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda rows: [*rows[:4], {**rows[4], "completion": "No."}, *rows[5:]], "row 5 is the first that differs"),
        (lambda rows: rows[::-1], "row 1 is the first"),
        (lambda rows: [*rows, rows[0]], r"12 rows, .* → 13 rows, .*row 13 is the first"),
        (lambda rows: rows[:-1], "row 12 is the first"),
    ],
)
def test_other_rows_are_refused_with_the_first_that_differs(harm, said, go, cut_run, tmp_path):
    file = tmp_path / "other.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in harm(rows_of(tmp_path))))
    with pytest.raises(RequestError, match=f"{NOTHING_BEGUN}[\\s\\S]*dataset.train_file: .*{said}"):
        go(resume=NEWEST, overrides=[f"dataset.train_file={file}"])


def test_allowed_rows_are_learned_from_the_beginning_of_the_epoch(go, cut_run, tmp_path):
    shutil.rmtree(cut_run.checkpoints / "step-00000006")  # the second epoch is begun
    file = tmp_path / "more.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows_of(tmp_path) * 2))
    run, events = go(resume=NEWEST, overrides=[f"dataset.train_file={file}"], allow=["dataset"])
    assert len(losses(events)) == 18  # 3 epochs of 24 rows, 4 a step: none of the new rows is left out
    [change] = run.read_manifest()["changes"]
    assert (change["key"], change["after_step"]) == ("dataset.train_file", 4)
    assert run.read_manifest()["rows"]["train_file"]["rows"] == 24


def test_evaluation_rows_that_were_not_there_are_refused(go, cut_run, tmp_path):
    with pytest.raises(RequestError, match=r"dataset.eval_file: none → 12 rows"):
        go(resume=NEWEST, overrides=[f"dataset.eval_file={tmp_path / 'qa.jsonl'}"])


@pytest.fixture
def model(base_folder, tmp_path):
    """A copy of the base model, to be changed."""
    return shutil.copytree(base_folder, tmp_path / "model")


def test_the_same_model_elsewhere_and_cut_into_other_files_is_the_same(go, cut_run, model):
    whole = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32)
    (model / "model.safetensors").unlink()
    whole.save_pretrained(model, max_shard_size="100KB")
    assert (model / "model.safetensors.index.json").is_file()
    run, _ = go(resume=NEWEST, base_model={"path": str(model)})
    assert run.read_manifest()["changes"] == []


def test_one_trained_step_makes_another_model(go, cut_run, model):
    whole = LlamaForCausalLM.from_pretrained(model, dtype=torch.float32)
    with torch.no_grad():
        whole.model.layers[1].mlp.up_proj.weight[3, :] += 1e-3  # in the first of the three places
    whole.save_pretrained(model)
    with pytest.raises(RequestError, match=r"base_model: weights .{8} of .* → weights .{8} of"):
        go(resume=NEWEST, base_model={"path": str(model)})
    run, _ = go(resume=NEWEST, base_model={"path": str(model)}, allow=["base_model"])
    assert [change["key"] for change in run.read_manifest()["changes"]] == ["base_model"]


def test_another_chat_template_is_another_model(go, cut_run, model):
    file = model / "chat_template.jinja"
    file.write_text(file.read_text().replace("<|end|>", "<|end|> "))
    with pytest.raises(RequestError, match=r"base_model: tokenizer"):
        go(resume=NEWEST, base_model={"path": str(model)})


def test_a_model_of_another_shape_is_refused_also_where_it_is_allowed(go, cut_run, model):
    config = LlamaForCausalLM.from_pretrained(model).config
    config.num_hidden_layers = 1
    LlamaForCausalLM(config).save_pretrained(model)
    with pytest.raises(RequestError, match="cannot change within a run, its tensors have other names or shapes"):
        go(resume=NEWEST, base_model={"path": str(model)}, allow=["base_model"])


def test_a_model_that_the_hub_changed_meanwhile_is_found_before_the_first_step(go, cut_run, monkeypatch):
    from furrow.stages.run import changed, facts

    real = changed.base_model_facts
    monkeypatch.setattr(changed, "base_model_facts", lambda strategy: None)  # not downloaded yet
    monkeypatch.setattr(facts, "base_model_facts", lambda strategy: {**real(strategy), "weights": "0" * 32})
    events = []
    with pytest.raises(RequestError, match="the base model is another one by now"):
        events = go(resume=NEWEST)[1]
    assert not losses(events)
    run, _ = go(resume=NEWEST, allow=["base_model"])
    assert run.read_manifest()["base_model"]["weights"] == "0" * 32


def test_other_versions_are_warned_of(go, cut_run):
    manifest = cut_run.read_manifest()
    manifest["versions"] |= {"torch": "1.0", "python": "3.8", "platform": "an older kernel"}
    cut_run.manifest.write_text(json.dumps(manifest))
    _, events = go(resume=NEWEST)
    [said] = [event.message for event in events if isinstance(event, Warned) and "other versions" in event.message]
    assert f"torch 1.0 → {torch.__version__}" in said and "python 3.8 → 3." in said and "platform" not in said


def test_a_run_that_was_moved_and_is_named_otherwise_goes_on_without_a_change(go, cut_run, tmp_path, monkeypatch):
    cut_run.path.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    run, events = go(resume=NEWEST, overrides=["training_args.output_dir=moved", "dataset.train_file=qa.jsonl"])
    assert run.read_manifest()["finished"] and run.read_manifest()["changes"] == []
    assert not [event for event in events if isinstance(event, Warned)]


def test_a_run_of_an_older_furrow_that_knew_fewer_keys_goes_on(go, cut_run):
    text = cut_run.strategy.read_text()
    newer = ("on_nonfinite", "action", "learning_rate_scale", "limit", "packing", "diagnostics", "on_bad_row")
    kept = [line for line in text.splitlines() if line.strip().partition(":")[0] not in newer]
    cut_run.strategy.write_text("\n".join(kept) + "\n")
    manifest = cut_run.read_manifest()
    older = {name: manifest[name] for name in ("furrow", "strategy", "versions", "data", "finished")}
    cut_run.manifest.write_text(json.dumps(older))
    run, events = go(resume=NEWEST)
    assert run.read_manifest()["finished"] and run.read_manifest()["changes"] == []
    assert isinstance(RunFolder(run.path).read_manifest()["base_model"], dict)
    assert any(isinstance(event, TrainingStarted) for event in events)


def test_a_run_whose_strategy_this_furrow_would_not_take_is_compared_as_it_is_written(go, cut_run):
    text = cut_run.strategy.read_text()
    cut_run.strategy.write_text(text.replace("learning_rate:", "gone_since: 1\n          learning_rate:", 1))
    with pytest.raises(RequestError, match=r"training_args.seed: 42 → 7"):
        go(resume=NEWEST, arguments={"seed": 7})
    cut_run.strategy.write_text("- [")
    with pytest.raises(RequestError, match=r"strategy.yaml: this is no strategy"):
        go(resume=NEWEST)
    cut_run.strategy.write_text(text)
    assert go(resume=NEWEST)[0].read_manifest()["finished"]
