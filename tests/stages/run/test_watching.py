"""Who watches a run cannot hurt it, and all who watch see the same events in the same order."""

from __future__ import annotations

import contextlib
import json

import pytest

from furrow.components.errors import FurrowError
from furrow.components.events import EventStream, Noted, Sampled, Warned
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.watching import Guarded, tracked_run, watched
from furrow.stages.train import train
from furrow.strategies.files import load


class Fragile:
    """A tracker that fails when it is told to."""

    def __init__(self, breaks_at):
        if breaks_at == "start":
            raise RuntimeError("no key\n  configured")
        self.breaks_at, self.seen, self.closed = breaks_at, [], False

    def __call__(self, event):
        self.seen.append(event)
        if self.breaks_at == "event":
            raise ConnectionError("the network is gone")

    def close(self, *, failed=False):
        self.closed = "failed" if failed else "finished"
        if self.breaks_at == "close":
            raise OSError("disk full")


@pytest.mark.parametrize(
    ("breaks_at", "said"),
    [
        ("start", "the tracker fragile cannot start, and gets no more figures: no key configured"),
        ("event", "the tracker fragile failed, and gets no more figures: the network is gone"),
        ("close", "the tracker fragile could not be closed, and gets no more figures: disk full"),
    ],
)
def test_a_tracker_that_fails_is_warned_of_once_and_the_events_go_on(breaks_at, said):
    heard, later = [], []
    events = EventStream(heard.append)
    tracker = Guarded("fragile", lambda: Fragile(breaks_at), events)
    events.subscribe(tracker)
    events.subscribe(later.append)
    told = [Noted(message=str(number)) for number in range(3)]
    for event in told:
        events(event)
    tracker.close()
    tracker.close()
    [warning] = [event for event in heard if isinstance(event, Warned)]
    assert warning.message == said and [event for event in later if isinstance(event, Noted)] == told


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_trackers_are_told_whether_the_run_came_to_its_end(strategy_file, tmp_path, monkeypatch, error):
    tracker = Fragile("never")
    monkeypatch.setattr("furrow.stages.wire.tracker", lambda wired, about: tracker)
    strategy = load("tiny", strategy_file()).strategy
    with contextlib.suppress(ValueError, KeyboardInterrupt), watched(strategy, RunFolder(tmp_path), EventStream(), []):
        if error:
            raise error
    assert tracker.closed == ("failed" if error else "finished")


def test_an_interrupt_is_no_failure_of_a_tracker():
    def stop(event):
        raise KeyboardInterrupt

    tracker = Guarded("stopped", lambda: stop, lambda event: None)
    with pytest.raises(KeyboardInterrupt):
        tracker(Noted(message=""))


def test_what_a_subscriber_says_stands_after_what_it_heard_for_everybody():
    first, last = [], []
    events = EventStream(first.append)
    events.subscribe(lambda event: events(Warned(message="!")) if isinstance(event, Noted) else None)
    events.subscribe(last.append)
    events(Noted(message="."))
    assert first == last == [Noted(message="."), Warned(message="!")]


def test_a_strategy_names_its_trackers_its_project_and_its_run(strategy_file, tmp_path):
    monitoring = {"trackers": [{"type": "tensorboard"}], "project": "garden", "run_name": "first"}
    strategy = load("tiny", strategy_file(monitoring=monitoring)).strategy
    about = tracked_run(strategy, RunFolder(tmp_path / "run"))
    assert (about.project, about.name) == ("garden", "first")
    assert about.settings["training_args.learning_rate"] == 0.005
    assert all(isinstance(value, bool | int | float | str) for value in about.settings.values())


def test_metrics_hold_what_happened_before_the_folder_was_there_and_what_the_rules_say(strategy_file, tmp_path):
    strategy = load("tiny", strategy_file(training_args={"warmup_steps": 9})).strategy
    (tmp_path / "run").mkdir()
    run, events = RunFolder(tmp_path / "run"), EventStream()
    with watched(strategy, run, events, [Noted(message="early")]):
        events(Noted(message="late"))
    lines = [json.loads(line)["message"] for line in run.metrics.read_text().splitlines()]
    assert lines == ["early", "late"]


def test_a_real_run_is_watched_from_its_first_answers_to_its_report(strategy_file, tmp_path):
    """The rules find nothing to say of a small model that learns what it should."""
    samples = {"prompts": 2, "max_new_tokens": 12}
    heard = []
    run = train(load("tiny", strategy_file(monitoring={"samples": samples})), overwrite=False, emit=heard.append)
    assert [event for event in heard if isinstance(event, Warned)] == []
    said = [event for event in heard if isinstance(event, Sampled)]
    assert [event.step for event in said] == [0, 0, 180, 180]
    assert said[0].prompt == "<|user|>What is a?<|end|><|assistant|>" and said[0].completion != said[0].reference
    assert [(event.completion, event.reference) for event in said[2:]] == [("It is aa.",) * 2, ("It is bb.",) * 2]
    recorded = [json.loads(line)["event"] for line in run.metrics.read_text().splitlines()]
    assert recorded.count("sampled") == 4 and recorded.count("step_ended") == 180
    for page in (run.report.read_text(), run.html_report.read_text()):
        assert "It is aa." in page and "after 180 steps" in page and "No rule found anything" in page


def test_questions_of_ones_own_are_asked_and_none_where_none_are_wanted(strategy_file):
    monitoring = {"samples": {"prompts": ["What is x?"], "max_new_tokens": 4}}
    heard = []
    short = {"num_train_epochs": 1}
    train(load("tiny", strategy_file(monitoring=monitoring, training_args=short)), overwrite=False, emit=heard.append)
    asked = [(event.step, event.prompt, event.reference) for event in heard if isinstance(event, Sampled)]
    assert asked == [(step, "<|user|>What is x?<|end|><|assistant|>", None) for step in (0, 3)]
    heard.clear()
    evaluating = {"num_train_epochs": 1, "eval_strategy": "epoch"}
    for overrides, count in (([], 2), (["monitoring.samples.prompts=0"], 0)):
        loaded = load("tiny", strategy_file(training_args=evaluating), overrides)
        train(loaded, overwrite=True, emit=heard.append)
        assert sum(isinstance(event, Sampled) for event in heard) == count  # a tenth of 12 rows is one row
        heard.clear()


def test_a_tracker_whose_package_is_missing_does_not_stop_the_run(strategy_file, tmp_path, monkeypatch):
    strategy = load("tiny", strategy_file(monitoring={"trackers": ["wandb"], "diagnostics": False})).strategy

    def missing(component):
        raise FurrowError("the package 'wandb' is not installed", remedy="pip install 'furrow[wandb]'")

    monkeypatch.setattr("furrow.stages.wire.factory", missing)
    (tmp_path / "run").mkdir()
    heard = []
    events = EventStream(heard.append)
    with watched(strategy, RunFolder(tmp_path / "run"), events, []):
        events(Noted(message="trained"))
    assert [type(event) for event in heard] == [Warned, Warned, Noted]
    assert "furrow[wandb]" in heard[1].message
