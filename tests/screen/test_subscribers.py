"""What a run shows while it goes: on a terminal a bar, in a pipe about twenty lines."""

from __future__ import annotations

import io

from rich.console import Console
from rich.progress import Progress

from furrow.components.events import Progressed, Resumed, StepEnded, TrainingStarted
from furrow.screen import subscribers
from furrow.screen.subscribers import showing

STARTED = TrainingStarted(
    total_steps=1000, effective_batch_rows=4, trainable_parameters=1, total_parameters=1, device="cpu", dtype="float32"
)


def step(number):
    return StepEnded(
        step=number, epoch=0.5, loss=1.0, learning_rate=1e-4, grad_norm=1.0, learned_tokens=5, total_tokens=10,
        seconds=10.0,
    )  # fmt: skip


class Clock:
    """Stands in for the module `time`: it goes on when it is told to."""

    now = 0.0

    def monotonic(self):
        return self.now


def test_the_time_left_of_a_resumed_run_counts_from_the_step_that_it_went_on_from(monkeypatch, capsys):
    monkeypatch.setattr(subscribers, "time", clock := Clock())
    with showing(Console(file=io.StringIO()), as_json=False) as show:
        show(Resumed(step=900, path="c"))
        show(STARTED)
        clock.now = 10.0
        show(step(901))
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("step 901/1000") and last.endswith("990 s left")


def test_the_bar_of_a_resumed_run_begins_at_the_step_that_it_went_on_from(monkeypatch):
    clock = Clock()
    with Progress(console=Console(file=io.StringIO(), force_terminal=True), get_time=clock.monotonic) as progress:
        live = subscribers._Live(progress)
        live(Resumed(step=900, path="c"))
        live(STARTED)
        assert progress.tasks[0].completed == 900
        for number in (901, 902):
            clock.now += 10.0
            live(step(number))
        [task] = progress.tasks
        assert (task.completed, task.time_remaining) == (902, 980.0)


def test_a_bar_of_work_that_is_done_goes_away(monkeypatch):
    with Progress(console=Console(file=io.StringIO(), force_terminal=True)) as progress:
        live = subscribers._Live(progress)
        live(Progressed(stage="tokenising", done=5, total=None))
        assert [(task.description, task.completed, task.total) for task in progress.tasks] == [("tokenising", 5, None)]
        live(Progressed(stage="tokenising", done=9, total=9))
        assert progress.tasks == []


def test_in_a_pipe_long_work_is_told_every_ten_seconds(monkeypatch, capsys):
    monkeypatch.setattr(subscribers, "time", clock := Clock())
    with showing(Console(file=io.StringIO()), as_json=False) as show:
        for done in range(1, 26):
            clock.now += 1
            show(Progressed(stage="tokenising", done=done * 1000, total=25_000))
    assert capsys.readouterr().out.splitlines() == ["tokenising: 10,000 of 25,000", "tokenising: 20,000 of 25,000"]
