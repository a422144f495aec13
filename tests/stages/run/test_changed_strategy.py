"""What has changed since a run began is refused before anything is touched, or allowed by name, followed and kept."""

from __future__ import annotations

import json

import pytest

from furrow.components.errors import RequestError
from furrow.components.events import Noted, StepEnded, Warned
from furrow.stages.run.resume import NEWEST


def everything(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def messages(events, kind):
    return [event.message for event in events if isinstance(event, kind)]


def test_every_refused_change_is_named_at_once_with_both_values_and_the_line_of_the_new_one(go, cut_run):
    before = everything(cut_run.path)
    (cut_run.checkpoints / "step-00000006" / "state.json").write_text("{")  # would be set aside
    before = everything(cut_run.path)
    with pytest.raises(RequestError) as refused:
        go(resume=NEWEST, arguments={"learning_rate": 1e-4, "seed": 7}, overrides=["data_preprocessing.shuffle=false"])
    said = str(refused.value)
    assert "not what the run began with" in said
    line = next(
        number
        for number, text in enumerate((cut_run.path.parent / "strategies.yaml").read_text().splitlines(), 1)
        if "learning_rate" in text
    )
    assert f"training_args.learning_rate: 0.005 → 0.0001 ({cut_run.path.parent}/strategies.yaml:{line})" in said
    assert "training_args.seed: 42 → 7" in said
    assert "data_preprocessing.shuffle: true → false (--set data_preprocessing.shuffle=false)" in said
    assert "--allow-change training_args.learning_rate" in said and "output_dir" not in said.partition("\n  undo")[0]
    assert refused.value.exit_code == 2 and everything(cut_run.path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        {"save_steps": 1, "save_total_limit": 2},
        {"eval_strategy": "no", "eval_steps": 7},
        {"num_train_epochs": 6},
        {"micro_batch_tokens": 64},
        {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2},
    ],
)
def test_what_no_step_depends_on_needs_no_word(arguments, go, cut_run):
    run, events = go(resume=NEWEST, arguments=arguments)
    manifest = run.read_manifest()
    assert manifest["finished"]
    changed = {
        name
        for name, value in {"num_train_epochs": 4, "save_steps": 2, "eval_steps": 50}.items()
        if arguments.get(name, value) != value
    }
    kept = {each["key"].removeprefix("training_args.") for each in manifest["changes"]}
    assert changed <= kept and all(each["after_step"] == 6 for each in manifest["changes"])
    assert any("changed since the run began" in message for message in messages(events, Noted))


def test_a_run_of_more_epochs_says_how_the_learning_rate_jumps(go, cut_run):
    _, events = go(resume=NEWEST, arguments={"num_train_epochs": 8})
    [said] = [message for message in messages(events, Warned) if "learning rate of step 7" in message]
    assert "0.00375 (before the change: 0.0025), by linear" in said  # 0.005 · (24 - 6) / 24, and · (12 - 6) / 12
    assert any("ends after step 24 (before: 12)" in message for message in messages(events, Noted))
    steps = [event for event in events if isinstance(event, StepEnded)]
    assert steps[0].learning_rate == 0.00375 and steps[-1].step == 24


@pytest.mark.parametrize("arguments", [{"num_train_epochs": 3}, {"max_steps": 20}])
def test_an_end_that_may_come_earlier_is_refused(arguments, go, cut_run):
    [name] = arguments
    with pytest.raises(RequestError, match=rf"{name}: [\s\S]*--allow-change training_args.{name}"):
        go(resume=NEWEST, arguments=arguments)
    run, _ = go(resume=NEWEST, arguments=arguments, allow=[f"training_args.{name}"])
    assert run.read_manifest()["changes"][0]["key"] == f"training_args.{name}"


def test_a_run_whose_new_end_has_passed_ends_with_the_weights_of_its_checkpoint(go, cut_run):
    run, _ = go(resume=NEWEST, arguments={"num_train_epochs": 1}, allow=["training_args"])
    names = ["final_model/model.safetensors", "checkpoints/step-00000006/model/model.safetensors"]
    assert (run.path / names[0]).read_bytes() == (run.path / names[1]).read_bytes()


def test_allowed_changes_are_kept_over_several_resumes(go, cut_run):
    go(resume=NEWEST, cut=9, arguments={"learning_rate": 1e-3}, allow=["training_args.learning_rate"])
    [first] = cut_run.read_manifest()["changes"]
    told = {"key": "training_args.learning_rate", "old": 0.005, "new": 0.001, "after_step": 6}
    assert first == {**told, "at": first["at"]}
    run, events = go(
        resume=NEWEST, arguments={"learning_rate": 1e-3, "weight_decay": 0.1}, allow=["training_args.weight_decay"]
    )
    kept = run.read_manifest()["changes"]
    assert kept[0] == first and [each["after_step"] for each in kept] == [6, 8]
    [said] = [message for message in messages(events, Warned) if "as --allow-change says" in message]
    assert "after step 8" in said and "weight_decay: 0.0 → 0.1" in said


def test_what_a_run_is_taken_back_behind_holds_from_there_on(go, cut_run):
    changed = {"learning_rate": 1e-3}
    go(resume=NEWEST, cut=9, arguments=changed, allow=["training_args.learning_rate"])
    go(resume=cut_run.checkpoints / "step-00000002", cut=4, arguments=changed)
    assert [each["after_step"] for each in cut_run.read_manifest()["changes"]] == [2]
    go(resume=cut_run.checkpoints / "step-00000002", allow=["training_args.learning_rate"])
    assert cut_run.read_manifest()["changes"] == []  # and it was taken back there, too


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("training_args.learning_rat", "did you mean 'training_args.learning_rate'"),
        ("lr", "did you mean 'training_args.learning_rate'"),
        ("learning_rate", "did you mean 'training_args.learning_rate'"),
        ("training_args.seed", r"training_args.seed has not changed; changed are training_args.learning_rate"),
        ("dataset", "dataset has not changed"),
        ("zzz", "there is no key 'zzz'"),
    ],
)
def test_allowing_what_has_not_changed_or_is_no_key_is_an_error(name, said, go, cut_run):
    before = everything(cut_run.path)
    with pytest.raises(RequestError, match=said):
        go(resume=NEWEST, arguments={"learning_rate": 1e-4}, allow=[name])
    assert everything(cut_run.path) == before


@pytest.mark.parametrize("name", ["training_args", "components.fine_tuner", "data_preprocessing"])
def test_a_block_allows_what_stands_in_it(name, go, cut_run):
    changed = {"overrides": ["data_preprocessing.max_output_length=100"]}
    if name != "data_preprocessing":
        changed = {"arguments": {"weight_decay": 0.1, "adam_beta2": 0.99}}
    run, _ = go(resume=NEWEST, allow=[name], **changed)
    assert len(run.read_manifest()["changes"]) == len(changed.get("arguments", "1"))


def test_a_key_is_allowed_under_the_name_that_it_is_moved_from(go, cut_run):
    run, _ = go(resume=NEWEST, arguments={"max_seq_length": 200}, allow=["training_args.max_seq_length"])
    assert run.read_manifest()["changes"][0]["key"] == "data_preprocessing.max_length"


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ({"method": {"type": "lora"}}, r"method.type: full → lora[\s\S]*base_model.path: .*step-00000006/model"),
        ({"objective": {"type": "pretrain"}}, "objective.type: sft → pretrain"),
        ({"base_model": {"init": "random"}}, "base_model.init: pretrained → random"),
    ],
)
def test_what_cannot_be_applied_is_refused_also_where_it_is_allowed(blocks, said, go, cut_run):
    before = everything(cut_run.path)
    with pytest.raises(RequestError, match=said) as refused:
        go(resume=NEWEST, allow=list(blocks), **blocks)
    assert "cannot change within a run" in str(refused.value) and "another --output-dir" in str(refused.value)
    assert everything(cut_run.path) == before


def test_another_rank_is_refused_with_the_way_to_take_the_weights_along(go, tmp_path):
    method = {"type": "lora", "r": 4}
    go(cut=3, method=method)
    with pytest.raises(RequestError, match=r"method.r: 4 → 2[\s\S]*furrow convert .*step-00000002/model MERGED"):
        go(resume=NEWEST, method={"type": "lora", "r": 2, "alpha": 8}, allow=["method"])
    with pytest.raises(RequestError, match=r"objective.type[\s\S]*method.init_from: .*step-00000002/model"):
        go(resume=NEWEST, method=method, objective={"type": "pretrain"}, allow=["objective"])
    run, _ = go(resume=NEWEST, method={**method, "dropout": 0.0}, allow=["method.dropout"])
    assert [each["key"] for each in run.read_manifest()["changes"]] == ["method.dropout"]


def test_the_folder_of_the_run_means_its_newest_checkpoint(go, cut_run):
    assert go(resume=cut_run.path)[0].read_manifest()["resumed_from"] == ["step-00000006"]


def test_a_schedule_over_all_steps_holds_the_end_of_adalora_fast(go):
    method = {"type": "adalora", "init_r": 4, "target_r": 2}
    go(cut=7, method=method)
    with pytest.raises(RequestError, match=r"num_train_epochs: 4.0 → 6.0 .*AdaLoRA cuts ranks by a schedule over all"):
        go(resume=NEWEST, method=method, arguments={"num_train_epochs": 6}, allow=["training_args.num_train_epochs"])


def test_a_frozen_base_that_was_drawn_by_the_seed_holds_it_fast(go):
    blocks = {"method": {"type": "lora", "r": 2}, "base_model": {"init": "random"}}
    go(cut=3, **blocks)
    with pytest.raises(RequestError, match=r"seed: 42 → 7 .*the frozen weights were drawn by it"):
        go(resume=NEWEST, arguments={"seed": 7}, allow=["training_args.seed"], **blocks)


def test_another_metric_looks_for_the_best_step_anew(go, tmp_path):
    measured = {"eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True}
    data = [f"dataset.eval_file={tmp_path / 'qa.jsonl'}", "dataset.on_faulty_data=warn"]
    go(cut=7, arguments=measured, overrides=data)
    changed = {**measured, "metric_for_best_model": "eval_perplexity"}
    with pytest.raises(RequestError, match=r"metric_for_best_model: eval_loss → eval_perplexity"):
        go(resume=NEWEST, arguments=changed, overrides=data)
    run, events = go(resume=NEWEST, arguments=changed, overrides=data, allow=["training_args"])
    assert any("looked for anew, by eval_perplexity (before: eval_loss)" in text for text in messages(events, Noted))
    state = json.loads((run.checkpoints / "step-00000008" / "state.json").read_text())
    assert state["best"]["step"] == 8 and state["metric"] == "eval_perplexity"


def test_the_command_line_allows_a_change_and_says_what_it_wants(furrow, go, strategy_file, cut_run):
    command = ["train", "--strategy", "tiny", "--strategy-file", strategy_file(training_args={"num_train_epochs": 4})]
    ended = furrow(*command, "--allow-change", "training_args.learning_rate")
    assert ended.code == 2 and "it wants --resume" in ended.err
    changed = ["--set", "training_args.learning_rate=1e-4"]
    ended = furrow(*command, "--resume", *changed)
    assert ended.code == 2
    assert "0.005 → 0.0001 (--set training_args.learning_rate=1e-4)" in " ".join(ended.err.split())
    ended = furrow(*command, "--resume", "--allow-change", "training_args.learning_rate", *changed)
    kept = {each["key"]: (each["old"], each["new"]) for each in cut_run.read_manifest()["changes"]}
    assert ended.code == 0 and kept["training_args.learning_rate"] == (0.005, 1e-4)
