"""Subscribers that show events: progress on a terminal, plain lines in a pipe, one JSON object a line on request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from furrow.components.events import (
    Emit,
    Evaluated,
    Event,
    Noted,
    Progressed,
    Resumed,
    RolledBack,
    RowsSetAside,
    Sampled,
    StageStarted,
    StepEnded,
    TrainingStarted,
    Warned,
    json_line,
)
from furrow.components.interruption import StopRequest
from furrow.screen.closed_pipe import StoppingWhenClosed
from furrow.screen.sentences import describe
from furrow.screen.text import one_line

TOLD = ("reward", "undecided_share", "rewards/accuracies", "accuracy")
"""Figures of an objective that a line of progress has room for; metrics.jsonl has all."""
PLAIN_LINES = 20
"""About how many step lines a run prints into a pipe."""
SECONDS_BETWEEN = 10.0
"""Between two lines of a pipe about work whose progress a terminal shows as a bar."""


@contextmanager
def showing(console: Console, *, as_json: bool, stop: StopRequest | None = None) -> Iterator[Emit]:
    """The subscriber that fits where the output goes. On a terminal the bar disappears when the block ends.

    `stop` is asked to end where the output is closed; without it that is raised, as BrokenPipeError.
    """
    with _subscriber(console, as_json) as show:
        yield show if stop is None else StoppingWhenClosed(show, console, stop)


@contextmanager
def _subscriber(console: Console, as_json: bool) -> Iterator[Emit]:
    if as_json:
        yield _json_line
    elif console.is_terminal:
        with Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as progress:
            yield _Live(progress)
    else:
        yield _Plain()


def _json_line(event: Event) -> None:
    click.echo(json_line(event))


class _Speed:
    """Tokens per second since the first step, and the newest evaluation."""

    def __init__(self) -> None:
        self._tokens, self._seconds, self._eval = 0, 0.0, ""

    def figures(self, event: StepEnded) -> str:
        self._tokens, self._seconds = self._tokens + event.total_tokens, self._seconds + event.seconds
        told = [f"  {name} {event.metrics[name]:.3f}" for name in TOLD if name in event.metrics]
        return f"loss {event.loss:.4f}{''.join(told)}{self._eval}  {self._tokens / self._seconds:,.0f} tokens/s"

    def evaluated(self, event: Evaluated) -> None:
        self._eval = f"  eval {event.eval_loss:.4f}"


class _Live:
    """A bar at the bottom; what is worth keeping scrolls above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._speed = progress, _Speed()
        self._tasks: dict[str, TaskID] = {}
        self._begun = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Resumed():
                self._begun = event.step
                self._say(event)
            case RolledBack():
                self._progress.update(self._tasks["training"], completed=event.step)
                self._say(event)
            case TrainingStarted():
                self._say(event)
                self._task("training", event.total_steps, self._begun)
            case StepEnded():
                self._progress.update(self._tasks["training"], completed=event.step, figures=self._speed.figures(event))
            case Progressed():
                self._progress.update(self._task(event.stage, event.total), completed=event.done, total=event.total)
                if event.done == event.total:
                    self._progress.remove_task(self._tasks.pop(event.stage))
            case Evaluated():
                self._speed.evaluated(event)
                self._say(event)
            case _:
                self._say(event)

    def _task(self, name: str, total: int | None, done: int = 0) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(one_line(name), total=total, completed=done, figures="")
        return self._tasks[name]

    def _say(self, event: Event) -> None:
        if line := describe(event):
            quiet = isinstance(event, StageStarted | Noted | Sampled)
            style = "yellow" if isinstance(event, Warned | RowsSetAside) else "dim" if quiet else ""
            self._progress.console.print(Text(line, style))


class _Plain:
    """Lines for a log: about PLAIN_LINES steps of a run, and everything else that has something to say."""

    def __init__(self) -> None:
        self._speed, self._total, self._started = _Speed(), 0, time.monotonic()
        self._begun, self._told = 0, self._started

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resumed):
            self._begun = event.step
        if isinstance(event, Progressed):
            self._progressed(event)
        if isinstance(event, RolledBack):
            self._begun, self._started = event.step, time.monotonic()
        if isinstance(event, TrainingStarted):
            self._total, self._started = event.total_steps, time.monotonic()
        if isinstance(event, Evaluated):
            self._speed.evaluated(event)
        if isinstance(event, StepEnded):
            self._step(event)
        elif line := describe(event):
            click.echo(line)

    def _step(self, event: StepEnded) -> None:
        figures = self._speed.figures(event)
        every = max(1, self._total // PLAIN_LINES)
        if event.step % every == 0 or event.step in (self._begun + 1, self._total):
            elapsed = time.monotonic() - self._started
            left = elapsed / (event.step - self._begun) * (self._total - event.step)
            click.echo(f"step {event.step}/{self._total}  {figures}  {left:.0f} s left")

    def _progressed(self, event: Progressed) -> None:
        now = time.monotonic()
        if now - self._told >= SECONDS_BETWEEN and event.done != event.total:
            self._told = now
            click.echo(f"{one_line(event.stage)}: {event.done:,}" + (f" of {event.total:,}" if event.total else ""))
