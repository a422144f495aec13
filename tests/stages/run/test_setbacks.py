"""A run that went back: its record counts what was done last, and it can be interrupted before, at and after that."""

from __future__ import annotations

import json
import math

import pytest
import torch

from furrow.components.errors import FurrowError
from furrow.components.events import StepEnded
from furrow.components.fine_tuner.pytorch.engine.loop import TrainingLoop
from furrow.stages.reporting.record import read_record
from furrow.stages.run.resume import NEWEST, cut_back
from furrow.stages.train import train
from furrow.strategies.files import load

AT = 7
"""The step whose loss is nan: 12 rows, 4 a step, 12 steps."""
ARGUMENTS = {
    "num_train_epochs": 4, "gradient_accumulation_steps": 1, "save_strategy": "steps", "save_steps": 3,
    "on_nonfinite": {"action": "rollback", "learning_rate_scale": 0.5},
}  # fmt: skip


class PowerCut(BaseException):
    """Nothing that anybody expects."""


@pytest.fixture(autouse=True)
def nan_at_a_step(monkeypatch):
    attempt = TrainingLoop._attempt

    def attempted(loop, batch):
        loss, sums = attempt(loop, batch)
        return (loss * math.nan if loop._at == AT else loss), sums

    monkeypatch.setattr(TrainingLoop, "_attempt", attempted)


@pytest.fixture
def go(strategy_file, tmp_path):
    """Trains the tiny strategy; `cut` is how many steps are done when it dies."""

    def run(name, *, cut=None, resume=None, **arguments):
        done = []

        def listen(event):
            done.append(event)
            if cut is not None and sum(isinstance(one, StepEnded) for one in done) == cut:
                raise PowerCut

        settings = {**ARGUMENTS, **arguments, "output_dir": str(tmp_path / name)}
        loaded = load("tiny", strategy_file(training_args=settings, method={"type": "full"}), [])
        return train(loaded, overwrite=False, resume=resume, emit=listen)

    return run


def measured(run):
    """(step, loss, learning rate) of every step that counts, evaluations, and what went wrong."""
    record = read_record(run.metrics)
    steps = [(event["step"], event["loss"], event["learning_rate"]) for event in record.steps]
    wrong = [(event["step"], event["what"], event["value"], event["action"]) for event in record.named("non_finite")]
    return steps, wrong, [(event["step"], event["skipped"]) for event in record.named("rolled_back")]


def weights(run):
    return (run.final_model / "model.safetensors").read_bytes()


def test_the_record_the_report_and_the_curves_hold_what_was_done_last(go):
    run = go("whole")
    steps, wrong, back = measured(run)
    assert [step for step, _, _ in steps] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    assert wrong == [(AT, "loss", "nan", "rollback")] and back == [(6, AT)]
    report = run.report.read_text()
    assert (
        "step 7: loss nan (rolled back)" in report and "to step 6: step 7 left out, learning rates times 0.5" in report
    )
    assert "schedule is not applied" not in report  # the rule of the curve knows of it


def test_steps_that_were_measured_before_the_rollback_count_no_more(go):
    run = go("whole", save_strategy="no")  # back to the start
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    twice = [line for line in lines if line["event"] == "step_ended" and line["step"] == 3]
    assert len(twice) == 2 and twice[1]["learning_rate"] == 0.5 * twice[0]["learning_rate"]
    assert next(event for event in read_record(run.metrics).steps if event["step"] == 3) == twice[1]


@pytest.mark.parametrize("cut", [7, 10])
def test_an_interrupted_run_has_the_record_of_one_that_was_not(go, cut, tmp_path):
    whole = go("whole")
    with pytest.raises(PowerCut):
        go("cut", cut=cut)
    run = go("cut", resume=NEWEST)
    assert measured(run) == measured(whole) and weights(run) == weights(whole)


def test_a_record_is_kept_up_to_the_checkpoint_also_where_a_later_step_stands_before_it(tmp_path):
    file = tmp_path / "metrics.jsonl"
    events = [
        {"event": "checkpoint_saved", "step": 2}, {"event": "step_ended", "step": 3, "loss": 3.0},
        {"event": "step_ended", "step": 4}, {"event": "non_finite", "step": 5},
        {"event": "rolled_back", "step": 2}, {"event": "step_ended", "step": 3, "loss": 3.1},
        {"event": "checkpoint_saved", "step": 3}, {"event": "step_ended", "step": 4},
    ]  # fmt: skip
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    cut_back(file, 3)
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert kept == events[:-1]
    assert [event["loss"] for event in read_record(file).steps] == [3.1]
    cut_back(file, 2)
    assert file.read_text() == json.dumps(events[0]) + "\n"


def test_a_stopped_run_can_be_gone_on_with_once_it_may_skip(go, tmp_path):
    with pytest.raises(FurrowError, match=r"loss is nan at step 7 [\s\S]*on_nonfinite: skip"):
        go("run", on_nonfinite="stop")
    run = go("run", resume=NEWEST, on_nonfinite="skip")
    whole = go("whole", on_nonfinite="skip")
    assert measured(run) == measured(whole) and weights(run) == weights(whole)
    assert torch.isfinite(torch.tensor([loss for _, loss, _ in measured(run)[0]])).all()


def test_both_kinds_of_screen_count_on_from_where_the_run_went_back_to(go, furrow, strategy_file, tmp_path):
    file = strategy_file(training_args={**ARGUMENTS, "output_dir": str(tmp_path / "shown")}, method={"type": "full"})
    ended = furrow("train", "--strategy", "tiny", "--strategy-file", file)
    assert ended.code == 0
    said = " ".join(ended.out.split())
    assert "the loss is nan at step 7" in said and "going back to step 6" in said and "0.5 times" in said
    assert "step 12/12" in said
