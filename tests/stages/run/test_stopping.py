"""A run that was stopped by a signal and gone on with is the run that nobody stopped."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time

import pytest

from furrow.components.disk.checkpoint_folder import checkpoints_in, owes_evaluation
from furrow.components.disk.storage import StorageError
from furrow.components.events import (
    CheckpointSaved,
    Evaluated,
    Sampled,
    SavePaused,
    StageStarted,
    StepEnded,
    Stopped,
    TrainingEnded,
)
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import Checkpoints
from furrow.components.interruption import Interrupted, StopRequest
from furrow.screen import subscribers
from furrow.stages.reporting.diagnostics import progress
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.resume import NEWEST
from furrow.stages.train import train
from furrow.strategies.files import load

ARGUMENTS = {
    "num_train_epochs": 2,
    "per_device_train_batch_size": 3,
    "gradient_accumulation_steps": 1,
    "save_strategy": "no",
    "eval_strategy": "steps",
    "eval_steps": 2,
    "micro_batch_tokens": 64,
}
"""9 rows to learn, 3 a step: 6 steps; 3 rows to evaluate on, in as many pieces."""
VARIED = ("seconds", "memory_bytes")


@pytest.fixture
def go(strategy_file, tmp_path):
    """Trains the tiny strategy; `at` says of each event whether SIGTERM arrives then."""

    def run(*, at=lambda event: False, resume=None, output="run", **blocks):
        stop, events = StopRequest(), []

        def listen(event):
            events.append(event)
            if at(event):
                stop.ask(signal.SIGTERM)

        arguments = {**ARGUMENTS, "output_dir": str(tmp_path / output), **blocks.pop("training_args", {})}
        data = {"train_file": str(tmp_path / "qa.jsonl"), "eval_split": 0.25}
        file = strategy_file(
            training_args=arguments, dataset=data, monitoring={"samples": {"prompts": 2, "max_new_tokens": 8}}, **blocks
        )
        loaded = load("tiny", file)
        return train(loaded, overwrite=False, resume=resume, stop=stop, emit=listen), events

    return run


def lines(run):
    """metrics.jsonl without times and without what only a resumed run says."""
    told = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    counted = ("step_ended", "evaluated", "sampled", "stopped_early", "training_ended", "warned")
    return [
        {key: value for key, value in event.items() if key not in VARIED} for event in told if event["event"] in counted
    ]


def weights(run):
    return (run.final_model / "model.safetensors").read_bytes()


MOMENTS = {
    "a step without an evaluation": lambda event: isinstance(event, StepEnded) and event.step == 1,
    "a step with an evaluation": lambda event: isinstance(event, StepEnded) and event.step == 2,
    "its evaluation, which is done": lambda event: isinstance(event, Evaluated) and event.step == 2,
    "its samples": lambda event: isinstance(event, Sampled) and event.step == 2,
    "the last step": lambda event: isinstance(event, StepEnded) and event.step == 6,
    "the last evaluation": lambda event: isinstance(event, Evaluated) and event.step == 6,
}


@pytest.mark.parametrize("extra", [pytest.param("plain", marks=pytest.mark.slow), "best and early stopping"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_stopped_and_resumed_run_is_the_run_that_nobody_stopped(moment, extra, go, tmp_path):
    best = {"load_best_model_at_end": True, "early_stopping": {"patience": 2}, "learning_rate": 0.05}
    arguments = {} if extra == "plain" else best
    with pytest.raises(Interrupted) as stopped:
        go(at=MOMENTS[moment], training_args=arguments)
    assert stopped.value.exit_code == 143 and stopped.value.resumable
    assert not RunFolder(tmp_path / "run").final_model.exists()
    resumed, _ = go(resume=NEWEST, training_args=arguments)
    whole, _ = go(output="whole", training_args=arguments)
    assert lines(resumed) == lines(whole)
    assert weights(resumed) == weights(whole)


def test_what_is_saved_after_its_evaluation_owes_none(go):
    best = {"load_best_model_at_end": True, "save_strategy": "steps", "save_steps": 1}
    run, _ = go(training_args=best)
    assert [owes_evaluation(path) for path in checkpoints_in(run.checkpoints).values()] == [False] * 6


def test_it_says_what_is_saved_and_where(go, tmp_path):
    events = []

    def at(event):
        events.append(event)
        return isinstance(event, StepEnded) and event.step == 2

    with pytest.raises(Interrupted, match=r"stopped by SIGTERM: after step 2, saved as .*step-00000002$"):
        go(at=at)
    run = RunFolder(tmp_path / "run")
    assert list(checkpoints_in(run.checkpoints)) == [2] and owes_evaluation(run.checkpoints / "step-00000002")
    [said] = [event for event in events if isinstance(event, Stopped)]
    assert said.signal == "SIGTERM" and "after step 2" in said.message and said.resumable
    assert json.loads(run.metrics.read_text().splitlines()[-1])["event"] == "stopped"


@pytest.fixture
def command(furrow, strategy_file, tmp_path, monkeypatch):
    """`furrow train` in this process, to which a signal is really sent, as often as `at` says of an event."""

    def run(*options, at=lambda event: 0, number=signal.SIGINT, **blocks):
        show = subscribers._Plain.__call__

        def listen(shown, event):
            show(shown, event)
            for count in range(at(event)):
                time.sleep(0.15 * bool(count))  # nobody presses a key twice in less
                os.kill(os.getpid(), number)

        data = {"train_file": str(tmp_path / "qa.jsonl"), "eval_split": 0.25}
        file = strategy_file(training_args=ARGUMENTS, dataset=data, **blocks)
        with monkeypatch.context() as listening:
            listening.setattr(subscribers._Plain, "__call__", listen)
            return furrow("train", "--strategy", "tiny", "--strategy-file", file, *options)

    return run


def at_step(number, times=1):
    return lambda event: times * (isinstance(event, StepEnded) and event.step == number)


def at_stage(beginning):
    return lambda event: isinstance(event, StageStarted) and event.stage.startswith(beginning)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_command_with_its_code_and_the_command_that_goes_on(number, code, command, furrow, tmp_path):
    ended = command("--overwrite", at=at_step(3), number=number)
    assert ended.code == code
    name = re.escape(signal.Signals(number).name)
    assert re.search(f"stopped by {name}: after step 3, saved as .*step-00000003\n  go on with: ", ended.err)
    assert "Traceback" not in ended.err
    again = shlex.split(ended.err.partition("go on with: ")[2])
    assert again[:2] == ["furrow", "train"] and "--overwrite" not in again and again[-1] == "--resume"
    assert furrow(*again[1:]).code == 0
    assert RunFolder(tmp_path / "run").read_manifest()["finished"]


def test_a_second_signal_leaves_at_once_and_breaks_nothing(command, tmp_path):
    run = RunFolder(tmp_path / "run")
    ended = command(at=lambda event: at_step(2, times=1)(event) or at_step(4, times=2)(event))
    assert ended.code == 130 and list(checkpoints_in(run.checkpoints)) == [2]
    assert command("--resume", at=at_step(4, times=2)).code == 130
    assert list(checkpoints_in(run.checkpoints)) == [2], "what came after it was left"
    assert not [path for path in run.path.iterdir() if path.name.startswith(".")]
    assert command("--resume").code == 0


@pytest.mark.parametrize("stage", ["reading the data", "loading"])
def test_before_the_training_a_signal_leaves_at_once_and_leaves_nothing(stage, command, tmp_path):
    ended = command(at=at_stage(stage), number=signal.SIGTERM)
    assert ended.code == 143 and "nothing is kept" in ended.err and "--resume" not in ended.err
    assert not (tmp_path / "run").exists()


def test_an_earlier_run_is_as_it_was_when_its_successor_is_stopped_before_it_saved(command, tmp_path):
    assert command().code == 0
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert command("--overwrite", at=at_stage("loading")).code == 130
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before


def test_a_run_that_was_stopped_while_it_exported_makes_its_exports_and_trains_no_more(command, tmp_path):
    run, export = RunFolder(tmp_path / "run"), {"export": {"to_merged": True}}
    ended = command(at=at_stage("exporting"), **export)
    assert ended.code == 130 and "the model is trained" in ended.err and "--resume" in ended.err
    trained, told = weights(run), run.metrics.read_text()
    assert not run.exports.exists() and not run.checkpoints.exists()
    refused = command(**export)
    assert refused.code == 2 and "trained, its exports not made" in refused.err
    ended = command("--resume", **export)
    assert ended.code == 0 and "step 1/" not in ended.out
    assert weights(run) == trained and (run.exports / "merged" / "model.safetensors").is_file()
    assert run.metrics.read_text().startswith(told) and run.report.is_file()
    manifest = run.read_manifest()
    assert manifest["finished"] and manifest["micro_batch_tokens"] == 64 and len(manifest["exports"]) == 1
    assert command("--resume").code == 2


def test_a_trained_run_that_is_to_train_longer_goes_on_from_its_checkpoint(go, tmp_path):
    arguments, longer = {"save_strategy": "steps", "save_steps": 2}, {"num_train_epochs": 3}
    arguments["lr_scheduler_type"] = "constant"
    with pytest.raises(Interrupted, match="the model is trained"):
        go(at=lambda event: isinstance(event, TrainingEnded), training_args=arguments, export={"to_merged": True})
    resumed, _ = go(resume=NEWEST, training_args={**arguments, **longer}, export={"to_merged": True})
    whole, _ = go(output="whole", training_args={**arguments, **longer}, export={"to_merged": True})
    assert weights(resumed) == weights(whole)
    assert (resumed.checkpoints / "quarantine" / "final_model").is_dir()


def test_a_signal_that_was_ignored_when_the_run_began_stays_so(command):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert command(at=at_step(2), number=signal.SIGHUP).code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_that_somebody_hands_on_at_once_counts_once(command):
    def twice(event):
        if at_step(2)(event):
            os.kill(os.getpid(), signal.SIGTERM)
        return at_step(2)(event)

    assert command(at=twice, number=signal.SIGTERM).code == 143
    assert command("--resume").code == 0


LOADING_FOR_EVER = """
import sys, threading
from furrow.components.fine_tuner.pytorch import fine_tuner
from furrow.cli import main
fine_tuner.trainable_model = lambda *_: threading.Event().wait()
sys.argv[0] = "furrow"
main()
"""


def wait_for(condition, process):
    deadline = time.monotonic() + 100
    while not condition() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def started(root, strategy_file, tmp_path):
    """A process of its own, which trains for long; killed when the test is over."""
    processes = []

    def start(*program, **streams):
        file = strategy_file(training_args={**ARGUMENTS, "num_train_epochs": 500, "lr_scheduler_type": "constant"})
        program = [*program[:1], "train", *program[1:]] if program[0] == "cli.py" else [*program, "train"]
        command = [sys.executable, *program, "--strategy", "tiny", "--strategy-file", str(file)]
        processes.append(subprocess.Popen(command, cwd=root, text=True, start_new_session=True, **streams))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_ctrl_c_does_not_wait_for_a_model_that_nobody_wants_any_more(started, tmp_path):
    process = started("-c", LOADING_FOR_EVER, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stdout:
        if line.startswith("loading"):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "nothing is kept" in said
    assert not (tmp_path / "run").exists()


def test_a_run_whose_terminal_is_closed_saves_and_ends(started, tmp_path):
    ours, theirs = pty.openpty()
    run = RunFolder(tmp_path / "run")
    process = started(
        "-c",
        "import fcntl, termios; fcntl.ioctl(1, termios.TIOCSCTTY, 0); from furrow.cli import main; main()",
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    os.set_blocking(ours, False)

    def has_begun():
        with contextlib.suppress(BlockingIOError):
            os.read(ours, 1 << 16)  # else it would wait for room in the terminal
        return run.metrics.is_file() and '"step": 2' in run.metrics.read_text()

    wait_for(has_begun, process)
    os.close(ours)
    assert process.wait(60) == 129
    steps = [json.loads(line)["step"] for line in run.metrics.read_text().splitlines() if "step_ended" in line]
    assert list(checkpoints_in(run.checkpoints)) == [steps[-1]]


@pytest.mark.parametrize("step", [6, 11])
def test_rules_that_judge_many_steps_remember_those_before_the_stop(step, go, monkeypatch):
    monkeypatch.setattr(progress, "FLAT_STEPS", 10)
    arguments = {"max_steps": 22, "learning_rate": 1e-9, "eval_steps": 50, "per_device_train_batch_size": 1}
    with pytest.raises(Interrupted):
        go(at=lambda event: isinstance(event, StepEnded) and event.step == step, training_args=arguments)
    resumed, _ = go(resume=NEWEST, training_args=arguments)
    whole, _ = go(output="whole", training_args=arguments)
    assert [line["message"][:8] for line in lines(resumed) if line["event"] == "warned"] == ["step 10:"]
    assert lines(resumed) == lines(whole)


def test_a_signal_before_the_run_went_on_is_answered_by_the_very_command(command, furrow, tmp_path):
    assert command(at=at_step(2)).code == 130
    options = (
        "--resume",
        str(tmp_path / "run/checkpoints/step-00000002"),
        "--allow-change",
        "training_args.learning_rate",
    )
    options += ("--set", "training_args.learning_rate=0.001")
    ended = command(*options, at=at_stage("reading"))
    assert ended.code == 130
    again = shlex.split(ended.err.partition("go on with: ")[2])
    assert again[-len(options) :] == list(options)
    assert furrow(*again[1:]).code == 0


@pytest.mark.parametrize("form", [(), pytest.param(("--json",), marks=pytest.mark.slow)])
def test_a_run_whose_reader_goes_away_saves_and_ends(form, started, tmp_path):
    run = RunFolder(tmp_path / "run")
    process = started("cli.py", *form, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in process.stdout:
        if "step 1/" in line or '"step_ended"' in line:
            break
    process.stdout.close()
    said = process.stderr.read()
    assert process.wait(60) == 141
    steps = [json.loads(line)["step"] for line in run.metrics.read_text().splitlines() if "step_ended" in line]
    assert list(checkpoints_in(run.checkpoints)) == [steps[-1]]
    assert f"stopped by SIGPIPE: after step {steps[-1]}, saved as" in said and "go on with: " in said
    assert "Traceback" not in said and "BrokenPipe" not in said


def test_whatever_ends_a_run_its_last_whole_step_is_saved_and_gone_on_with(go, tmp_path):
    def fail(event):
        if isinstance(event, StepEnded) and event.step == 3:
            raise ValueError("a mistake")
        return False

    with pytest.raises(ValueError) as failed:
        go(at=fail)
    run = RunFolder(tmp_path / "run")
    assert list(checkpoints_in(run.checkpoints)) == [3]
    [note] = failed.value.__notes__
    assert "after step 3, saved as" in note and "--resume" in note
    resumed, _ = go(resume=NEWEST)
    whole, _ = go(output="whole")
    assert lines(resumed) == lines(whole) and weights(resumed) == weights(whole)


def test_an_error_that_a_person_can_mend_says_how_to_go_on(command, monkeypatch):
    def full(*_, **__):
        raise StorageError("the disk is full", where="cannot write final_model")

    with monkeypatch.context() as broken:
        broken.setattr(PyTorchFineTuner, "_publish", full)
        ended = command("--set", "training_args.save_retry_seconds=0")
    assert ended.code == 1 and "the disk is full" in ended.err
    assert "after step 6, saved as" in ended.err and "go on with: furrow train" in ended.err
    assert command("--resume").code == 0


def test_a_signal_while_a_save_waits_for_the_disk_is_a_signal(command, monkeypatch):
    def full(*_, **__):
        raise StorageError("the disk is full", where="cannot write step-00000004")

    def waits(event):
        monkeypatch.setattr(Checkpoints, "save", save if isinstance(event, Stopped) else full)
        return isinstance(event, SavePaused)

    save = Checkpoints.save
    assert command(at=at_step(2)).code == 130
    ended = command("--resume", "--set", "training_args.save_strategy=epoch", at=waits)
    assert ended.code == 130, ended.err
    assert "after step 3, which is not saved: cannot write step-00000004: the disk is full" in ended.err
    assert "what is kept is that after step 2" in ended.err and "go on with: " in ended.err


def test_a_run_that_was_stopped_before_step_1_of_a_rollback_keeps_step_0(command):
    at = lambda event: isinstance(event, CheckpointSaved) and event.step == 0  # noqa: E731
    options = ("--set", "training_args.on_nonfinite=rollback")
    with_step = command(*options, at=at)
    assert with_step.code == 130 and "nothing is kept" not in with_step.err
    assert "what is kept is that after step" in with_step.err or "saved as" in with_step.err
    assert command(*options, "--resume").code == 0


def test_numbers_that_go_wrong_before_anything_was_saved_leave_their_record_and_no_earlier_run(command, tmp_path):
    ended = command("--set", "training_args.learning_rate=1e30", "--set", "training_args.max_grad_norm=0")
    run = RunFolder(tmp_path / "run")
    assert ended.code == 1 and f"the record is {run.metrics}" in " ".join(ended.err.split())
    assert "non_finite" in run.metrics.read_text() and run.read_manifest()["finished"] is False
    assert "--resume" not in ended.err
    assert command().code == 0
