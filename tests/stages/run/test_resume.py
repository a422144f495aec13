"""An interrupted run is gone on with from its folder, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from furrow.components.disk.checkpoint_folder import QUARANTINE, checkpoints_in, damage, name_of
from furrow.components.errors import RequestError
from furrow.components.events import Noted, StepEnded, Warned
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.trl.component import TrlConfig
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.resume import NEWEST, cut_back
from furrow.stages.train import train
from furrow.strategies.files import load

SHORT = {"num_train_epochs": 4, "save_strategy": "steps", "save_steps": 2, "gradient_accumulation_steps": 1}
"""12 rows, 4 a step: 12 steps, and a checkpoint after every second one."""


class PowerCut(BaseException):
    """Nothing that anybody expects."""


@pytest.fixture
def go(strategy_file):
    """Trains the tiny strategy; `cut` is the step at which it dies."""

    def run(*, cut=None, resume=None, overwrite=False, allow=(), overrides=(), **blocks):
        events = []

        def listen(event):
            events.append(event)
            if isinstance(event, StepEnded) and event.step == cut:
                raise PowerCut

        settings = {"training_args": SHORT, "method": {"type": "full"}, **blocks}
        loaded = load("tiny", strategy_file(**settings), list(overrides))
        return train(loaded, overwrite=overwrite, resume=resume, allow=allow, emit=listen), events

    return run


@pytest.fixture
def cut_run(go, tmp_path):
    """The folder of a run that died in step 7, its newest checkpoint of step 6."""
    with pytest.raises(PowerCut):
        go(cut=7)
    return RunFolder(tmp_path / "run")


def record(folder, *kinds):
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    return [event for event in lines if event["event"] in kinds]


def test_the_record_and_the_weights_are_those_of_a_run_that_was_never_cut(go, cut_run, tmp_path):
    run, _ = go(resume=NEWEST)
    whole, _ = go(overrides=[f"training_args.output_dir={tmp_path / 'whole'}"])
    name = "final_model/model.safetensors"
    assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()
    losses = [(event["step"], event["loss"]) for event in record(run, "step_ended")]
    assert losses == [(event["step"], event["loss"]) for event in record(whole, "step_ended")]
    assert [event["step"] for event in record(run, "resumed")] == [6]
    manifest = run.read_manifest()
    assert manifest["finished"] and manifest["resumed_from"] == ["step-00000006"]


def test_an_unfinished_run_is_neither_begun_anew_nor_forgotten_without_a_word(go, cut_run):
    with pytest.raises(RequestError, match=r"unfinished run, saved after step 6[\s\S]*--resume[\s\S]*--overwrite"):
        go()
    assert list(checkpoints_in(cut_run.checkpoints)) == [2, 4, 6]
    run, _ = go(overwrite=True)
    assert run.read_manifest()["finished"] and len(record(run, "step_ended")) == 12


def test_a_finished_run_is_not_resumed(go):
    go()
    with pytest.raises(
        RequestError, match=r"holds a finished run[\s\S]*num_train_epochs[\s\S]*base_model.path"
    ) as said:
        go(resume=NEWEST)
    assert "--overwrite" not in str(said.value)  # it would remove the model


def test_a_finished_run_goes_on_to_a_later_end_as_if_it_had_always_been_that_long(go, tmp_path):
    constant = {**SHORT, "lr_scheduler_type": "constant"}
    go(training_args={**constant, "num_train_epochs": 2})
    longer, events = go(resume=NEWEST, training_args=constant)
    whole, _ = go(training_args=constant, overrides=[f"training_args.output_dir={tmp_path / 'whole'}"])
    name = "final_model/model.safetensors"
    assert (longer.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert [event["step"] for event in record(longer, "resumed")] == [6] and longer.finished
    assert any("final_model comes after it, and is moved to" in each.message for each in events if type(each) is Noted)


def test_a_finished_run_without_a_checkpoint_is_refused_with_the_way_to_take_its_model_along(go):
    run, _ = go(training_args={**SHORT, "save_strategy": "no"})
    with pytest.raises(RequestError, match=r"and no checkpoint[\s\S]*base_model.path: .*/final_model") as refused:
        go(resume=NEWEST, training_args={**SHORT, "num_train_epochs": 5})
    assert "--overwrite" not in str(refused.value) and run.final_model.is_dir()


def test_where_nothing_was_saved_there_is_nothing_to_resume(go, tmp_path):
    with pytest.raises(RequestError, match="holds no checkpoint to go on from"):
        go(resume=NEWEST)
    assert not (tmp_path / "run").exists()


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_is_taken(go, cut_run):
    weights = cut_run.checkpoints / name_of(6) / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    run, events = go(resume=NEWEST)
    [warning] = [event for event in events if isinstance(event, Warned) and "damaged" in event.message]
    assert "model/model.safetensors" in warning.message
    assert (run.checkpoints / QUARANTINE / name_of(6)).is_dir()
    assert [event["step"] for event in record(run, "resumed")] == [4]
    assert [event["step"] for event in record(run, "step_ended")] == list(range(1, 13))


@pytest.mark.parametrize("harm", ["cut", "removed", "added", "renamed", "no manifest"])
def test_every_harm_to_a_checkpoint_is_found(harm, cut_run):
    checkpoint = cut_run.checkpoints / name_of(4)
    file = checkpoint / "optimizer.safetensors"
    if harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "removed":
        file.unlink()
    elif harm == "added":
        (checkpoint / "model" / "more.safetensors").write_bytes(b"")
    elif harm == "renamed":
        shutil.rmtree(cut_run.checkpoints / name_of(6))
        checkpoint = checkpoint.rename(cut_run.checkpoints / name_of(6))
    else:
        (checkpoint / "MANIFEST.json").write_text("{")
    assert damage(checkpoint) is not None
    assert damage(cut_run.checkpoints / name_of(2)) is None


def test_an_earlier_checkpoint_can_be_named_and_later_ones_are_set_aside(go, cut_run):
    run, events = go(resume=cut_run.checkpoints / name_of(2))
    moved = [event.message for event in events if isinstance(event, Noted) and "comes after it" in event.message]
    assert len(moved) == 2 and list(checkpoints_in(run.checkpoints / QUARANTINE)) == [4, 6]
    assert [event["step"] for event in record(run, "step_ended")] == list(range(1, 13))


def test_a_checkpoint_that_is_not_of_this_run_is_refused_by_name(go, cut_run, tmp_path):
    with pytest.raises(RequestError, match=r"is no checkpoint of[\s\S]*step-00000002, step-00000004, step-00000006"):
        go(resume=tmp_path)


def test_a_cut_run_that_was_to_replace_another_can_be_gone_on_with(go, tmp_path):
    first, _ = go()
    with pytest.raises(PowerCut):
        go(overwrite=True, cut=5)
    assert first.unfinished and (first.path / ".earlier/final_model").is_dir()
    run, _ = go(resume=NEWEST)
    assert run.read_manifest()["finished"] and not (run.path / ".earlier").exists()


def test_where_every_checkpoint_is_damaged_the_run_is_left_to_be_looked_at(go, tmp_path):
    first, _ = go()
    with pytest.raises(PowerCut):
        go(overwrite=True, cut=5)
    for checkpoint in checkpoints_in(first.checkpoints).values():
        (checkpoint / "optimizer.safetensors").unlink()
    said = []
    for resume in (NEWEST, NEWEST):
        with pytest.raises(RequestError, match=r"no checkpoint in .* is whole") as refused:
            go(resume=resume)
        said.append(str(refused.value))
    assert said[0] == said[1] and "--overwrite" in said[0] and "from a copy" in said[0]
    assert f"base_model.path: {first.checkpoints / QUARANTINE / name_of(4)}/model" in said[0]
    with pytest.raises(RequestError, match="holds an earlier run"):
        go()
    assert list(checkpoints_in(first.checkpoints / QUARANTINE)) == [2, 4]
    assert (first.path / ".earlier/final_model").is_dir() and not first.final_model.exists()


def test_a_fine_tuner_that_cannot_go_on_is_said_to_before_anything_is_touched(go, cut_run, monkeypatch):
    before = {file: file.read_bytes() for file in cut_run.path.rglob("*") if file.is_file()}
    monkeypatch.setattr(PyTorchConfig, "resumes", TrlConfig.resumes, raising=False)
    with pytest.raises(RequestError, match="this fine-tuner cannot go on from a checkpoint"):
        go(resume=NEWEST)
    with pytest.raises(RequestError, match=r"holds an earlier run[\s\S]*--overwrite") as refused:
        go()
    assert "--resume" not in str(refused.value)
    assert {file: file.read_bytes() for file in cut_run.path.rglob("*") if file.is_file()} == before


def test_the_same_rows_by_another_path_are_the_same_rows(go, cut_run, tmp_path):
    moved = (tmp_path / "qa.jsonl").rename(tmp_path / "moved.jsonl")
    run, events = go(resume=NEWEST, overrides=[f"dataset.train_file={moved}"])
    assert run.read_manifest()["finished"]
    assert not [event for event in events if isinstance(event, Warned) and "strategy has changed" in event.message]


def test_a_strategy_is_never_left_half_written(go, cut_run, monkeypatch):
    def cut(path):
        if (path / "strategy.yaml").exists():
            raise PowerCut

    before = cut_run.strategy.read_text()
    with monkeypatch.context() as power, pytest.raises(PowerCut):
        power.setattr("furrow.components.disk.staging.flush", cut)
        go(resume=NEWEST, allow=["training_args.seed"], training_args={**SHORT, "seed": 1})
    assert cut_run.strategy.read_text() == before
    assert "changes" not in cut_run.read_manifest()  # nor is it said that it was followed
    manifest = go(resume=NEWEST)[0].read_manifest()
    assert manifest["finished"] and manifest["changes"] == []


def test_what_was_changed_is_still_known_after_two_kills_while_exporting(go, cut_run, monkeypatch):
    def cut(*arguments, **options):
        raise PowerCut

    seed = {**SHORT, "seed": 1}
    with monkeypatch.context() as power:
        power.setattr("furrow.stages.train.export_all", cut)
        with pytest.raises(PowerCut):
            go(resume=NEWEST, allow=["training_args.seed"], training_args=seed)
        for title in ("another", "a third"):
            with pytest.raises(PowerCut):
                go(resume=NEWEST, training_args=seed, name=title)
    assert "a third" in cut_run.strategy.read_text()
    before = cut_run.read_manifest()
    assert before["strategy_sha256"] == hashlib.sha256(cut_run.strategy.read_bytes()).hexdigest()
    run, _ = go(resume=cut_run.checkpoints / name_of(6), training_args=seed, name="a third")
    assert [change["key"] for change in run.read_manifest()["changes"]][:1] == ["training_args.seed"]


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"rows": 7}', b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("name", ["manifest.json", "strategy.yaml"])
def test_without_what_it_began_with_a_run_is_not_gone_on_with(name, content, go, cut_run):
    file = cut_run.path / name
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(RequestError, match=r"(manifest.json|strategy.yaml)[\s\S]*a copy") as refused:
        go(resume=NEWEST, training_args={**SHORT, "learning_rate": 1e-4})
    assert name in str(refused.value) and list(checkpoints_in(cut_run.checkpoints)) == [2, 4, 6]
    with pytest.raises(RequestError, match="--overwrite"):
        go()
    assert list(checkpoints_in(cut_run.checkpoints)) == [2, 4, 6]


@pytest.mark.parametrize("content", [b"", b"{", b"[]"])
def test_a_damaged_manifest_is_no_reason_not_to_begin_anew(content, go, cut_run):
    cut_run.manifest.write_bytes(content)
    with pytest.raises(PowerCut):
        go(overwrite=True, cut=1)
    assert list(checkpoints_in(cut_run.checkpoints)) == [2, 4, 6]  # put back: nothing had been saved
    assert go(overwrite=True)[0].finished


def tree(folder):
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_dry_run_refuses_what_going_on_would_and_touches_nothing(furrow, strategy_file, cut_run):
    file = strategy_file(training_args=SHORT, method={"type": "full"})
    command = ["train", "--strategy", "tiny", "--strategy-file", file, "--dry-run", "--resume"]
    before = tree(cut_run.path)
    ended = furrow(*command)
    assert ended.code == 0 and "would go on from step-00000006" in " ".join((ended.out + ended.err).split())
    ended = furrow(*command, "--set", "training_args.learning_rate=1e-4")
    assert ended.code == 2 and "--allow-change training_args.learning_rate" in " ".join(ended.err.split())
    ended = furrow(*command, "--set", "training_args.seed=1", "--allow-change", "training_args.seed")
    assert ended.code == 0 and "seed: 42 → 1" in " ".join((ended.out + ended.err).split())
    for checkpoint in checkpoints_in(cut_run.checkpoints).values():
        (checkpoint / "optimizer.safetensors").unlink()
        before.pop(str(checkpoint / "optimizer.safetensors"))
    ended = furrow(*command)
    assert ended.code == 2 and "is whole" in ended.err
    assert tree(cut_run.path) == before


def test_what_ran_out_of_memory_before_the_cut_is_still_in_the_manifest(go, cut_run):
    shrunk = '{"event": "micro_batch_shrunk", "step": 2, "tokens": 64, "was": 128, "reason": "full"}\n'
    cut_run.metrics.write_text(shrunk + cut_run.metrics.read_text())
    run, _ = go(resume=NEWEST)
    assert run.read_manifest()["memory_ran_out"] == [{"step": 2, "tokens": 128}]


def test_a_record_is_cut_before_the_first_later_step_and_at_a_torn_line(tmp_path):
    file = tmp_path / "metrics.jsonl"
    kept = ['{"event": "training_started"}', '{"event": "step_ended", "step": 2}', '{"event": "noted"}']
    file.write_text("\n".join([*kept, '{"event": "step_ended", "step": 3}', '{"event": "noted"}']) + "\n")
    cut_back(file, 2)
    assert file.read_text() == "\n".join(kept) + "\n"
    file.write_text("\n".join([*kept, '{"event": "eval']))
    cut_back(file, 2)
    assert file.read_text() == "\n".join(kept) + "\n"
    cut_back(tmp_path / "none.jsonl", 2)


def test_resume_and_overwrite_together_are_refused(furrow, strategy_file):
    ended = furrow("train", "--strategy", "tiny", "--strategy-file", strategy_file(), "--resume", "--overwrite")
    assert ended.code == 2 and "one of them is wanted" in ended.err


def test_a_killed_process_is_gone_on_with_by_the_command_line(go, strategy_file, tmp_path, root):
    endless = {**SHORT, "num_train_epochs": 400, "lr_scheduler_type": "constant"}  # so that it can end anywhere
    file = strategy_file(training_args=endless, method={"type": "full"})
    command = [sys.executable, "cli.py", "train", "--strategy", "tiny", "--strategy-file", str(file)]
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "run" / "checkpoints"
    try:
        deadline = time.monotonic() + 100
        while len(checkpoints_in(checkpoints)) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    newest = max(checkpoints_in(checkpoints))
    assert 4 <= newest < 1200
    end = {**endless, "max_steps": newest + 2}
    run, _ = go(resume=NEWEST, allow=["training_args.max_steps"], training_args=end)
    whole, _ = go(training_args=end, overrides=[f"training_args.output_dir={tmp_path / 'whole'}"])
    losses = [[(event["step"], event["loss"]) for event in record(each, "step_ended")] for each in (run, whole)]
    assert losses[0] == losses[1] and len(losses[0]) == newest + 2
    name = "final_model/model.safetensors"
    assert (run.path / name).read_bytes() == (whole.path / name).read_bytes()
