"""A run that hangs is noticed, says where, keeps what it learned and ends."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time

import pytest

from furrow.components.disk.checkpoint_folder import checkpoints_in
from furrow.components.events import StepEnded, Warned
from furrow.components.fine_tuner.pytorch import fine_tuner
from furrow.components.interruption import StopRequest, Stuck
from furrow.stages import train as stage
from furrow.stages.data import training_data
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.resume import NEWEST
from furrow.stages.run.watchdog import watched_over
from furrow.strategies.files import load

SHORT = {"num_train_epochs": 2, "hang_timeout_seconds": 2, "eval_strategy": "epoch", "save_strategy": "no"}
"""12 rows, a quarter of them to evaluate on, 4 a step: 6 steps."""


@pytest.fixture
def go(file):
    """Trains the tiny strategy, which may hang for two seconds."""

    def run(*, resume=None, emit=lambda event: None, **arguments):
        return stage.train(load("tiny", file(**arguments)), overwrite=False, resume=resume, emit=emit)

    return run


@pytest.fixture
def file(strategy_file, tmp_path):
    def write(**arguments):
        data = {"train_file": str(tmp_path / "qa.jsonl"), "eval_split": 0.25}
        asked = {"output_dir": str(tmp_path / "run"), **SHORT, **arguments}
        return strategy_file(training_args=asked, dataset=data, monitoring={"samples": {"prompts": 1}})

    return write


@pytest.fixture
def never():
    """Waits for what does not come, as long as the test lasts."""
    event = threading.Event()

    def never(*_, **__):
        event.wait()

    yield never
    event.set()


def figures(run):
    told = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    kept = [event for event in told if event["event"] in ("step_ended", "evaluated", "sampled")]
    return [{key: value for key, value in event.items() if key not in ("seconds", "memory_bytes")} for event in kept]


def test_a_hang_while_the_data_is_read_ends_the_run_and_leaves_the_stacks(go, never, monkeypatch, tmp_path):
    with monkeypatch.context() as hanging, pytest.raises(Stuck, match="nothing has moved for 2 s") as stuck:
        hanging.setattr(training_data, "load_rows", never)
        go()
    assert stuck.value.exit_code == 1 and not stuck.value.resumable
    stacks = (tmp_path / "run" / "stacks.txt").read_text()
    assert "test_watchdog.py" in stacks and "in train" in stacks
    assert go(hang_timeout_seconds=60).read_manifest()["finished"], "the stacks are no earlier run"
    assert not (tmp_path / "run" / "stacks.txt").exists()


def test_a_hang_while_the_model_is_loaded_by_its_thread_ends_the_run(go, never, monkeypatch, tmp_path):
    monkeypatch.setattr(fine_tuner, "trainable_model", never)
    with pytest.raises(Stuck):
        go()
    stacks = (tmp_path / "run" / "stacks.txt").read_text()
    assert "in never" in stacks and "in result" in stacks


def test_what_was_learned_before_a_hang_is_saved_and_gone_on_with_exactly(
    go, file, furrow, never, monkeypatch, tmp_path
):
    real = fine_tuner.sample

    def sample(model, tokenizer, prompts, step, *more):
        (never if step == 3 else real)(model, tokenizer, prompts, step, *more)

    with monkeypatch.context() as hanging:
        hanging.setattr(fine_tuner, "sample", sample)
        ended = furrow("train", "--strategy", "tiny", "--strategy-file", file())
    run = RunFolder(tmp_path / "run")
    assert ended.code == 1 and "error: nothing has moved for 2 s" in ended.err
    assert re.search(r"saved as .*step-00000003\n  go on with: furrow train .* --resume", ended.err)
    assert list(checkpoints_in(run.checkpoints)) == [3]
    whole = go(output_dir=str(tmp_path / "whole"), hang_timeout_seconds=60)
    resumed = go(resume=NEWEST, hang_timeout_seconds=60)
    weights = "final_model/model.safetensors"
    assert (resumed.path / weights).read_bytes() == (whole.path / weights).read_bytes()
    assert figures(resumed) == figures(whole)


def test_nothing_is_saved_of_an_update_that_is_half_made(go, never, monkeypatch, tmp_path):
    from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop

    real = TrainingLoop._clip

    def clip(loop):
        if loop.step == 2:
            monkeypatch.setattr(type(loop._prepared), "step", never)
        return real(loop)

    monkeypatch.setattr(TrainingLoop, "_clip", clip)
    with pytest.raises(Stuck, match="nothing was saved before"):
        go()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_tracker_that_hangs_is_given_up_and_the_run_goes_on(go, never, monkeypatch):
    from furrow.components.tracker.jsonl import JsonlTracker

    real, told = JsonlTracker.__call__, []
    monkeypatch.setattr(
        JsonlTracker,
        "__call__",
        lambda tracker, event: (never if isinstance(event, StepEnded) else real.__get__(tracker))(event),
    )
    assert go(emit=told.append).read_manifest()["finished"]
    [warning] = [
        event.message for event in told if isinstance(event, Warned) and "tracker jsonl failed" in event.message
    ]
    assert "Hung" in warning


def test_work_that_shows_no_event_is_no_hang_outside_the_loop(tmp_path):
    run, ends = RunFolder(tmp_path), time.monotonic() + 0.5
    with watched_over(run, StopRequest(), 0.1):
        while time.monotonic() < ends:
            sum(range(10_000))


def test_in_the_loop_a_busy_processor_proves_nothing(tmp_path):
    run, stop, ends = RunFolder(tmp_path), StopRequest(), time.monotonic() + 20
    with pytest.raises(Stuck), watched_over(run, stop, 0.1), stop.heeding():
        while time.monotonic() < ends:
            sum(range(10_000))


def test_whoever_says_that_he_moves_is_left_alone(tmp_path):
    run, stop, ends = RunFolder(tmp_path), StopRequest(), time.monotonic() + 0.5
    with watched_over(run, stop, 0.1), stop.heeding():
        while time.monotonic() < ends:
            stop.moved()
            time.sleep(0.01)


STUCK_IN_C = """
import ctypes, sys
from pathlib import Path
from furrow.components.interruption import StopRequest
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.watchdog import watched_over
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(128)
with watched_over(RunFolder(Path(sys.argv[1])), StopRequest(), 0.5):
    libc.pthread_mutex_lock(mutex)
    libc.pthread_mutex_lock(mutex)
"""


def test_a_main_thread_that_does_not_answer_is_not_waited_for(tmp_path):
    done = subprocess.run([sys.executable, "-c", STUCK_IN_C, tmp_path], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "nothing has moved for 0.5 s" in done.stderr and "does not answer" in done.stderr
    assert "Current thread" in (tmp_path / "stacks.txt").read_text()
