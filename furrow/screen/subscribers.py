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
    CheckpointSaved,
    ClassesCounted,
    DataPrepared,
    Emit,
    Evaluated,
    Event,
    Exported,
    ExportVerified,
    MicroBatchShrunk,
    Noted,
    Progressed,
    Resumed,
    Sampled,
    StageStarted,
    StepEnded,
    StoppedEarly,
    TrainingEnded,
    TrainingStarted,
    Warned,
    json_line,
)
from furrow.screen.text import printable

SAMPLE_LETTERS = 80
"""Of a sample prompt the end (it holds the question) and of its answer the beginning; the report has them whole."""
TOLD = ("reward", "undecided_share", "rewards/accuracies", "accuracy")
"""Figures of an objective that a line of progress has room for; metrics.jsonl has all."""
PLAIN_LINES = 20
"""About how many step lines a run prints into a pipe."""
CLASSES_SHOWN = 12
"""Classes of a classifier that are listed; the event has them all."""


@contextmanager
def showing(console: Console, *, as_json: bool) -> Iterator[Emit]:
    """The subscriber that fits where the output goes. On a terminal the bar disappears when the block ends."""
    if as_json:
        yield _json_line
    elif console.is_terminal:
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        ) as progress:
            yield _Live(progress)
    else:
        yield _Plain()


def describe(event: Event) -> str | None:
    """One line for a person, or None for what only the bar shows."""
    match event:
        case StageStarted():
            return f"{event.stage} …"
        case Noted():
            return f"note: {event.message}"
        case Warned():
            return f"warning: {event.message}" + (f" ({event.remedy})" if event.remedy else "")
        case DataPrepared():
            return (
                f"{event.train_rows} rows to train on, {event.eval_rows} to evaluate; {event.train_tokens:,} tokens, "
                f"{event.learned_tokens:,} learned; {event.dropped_rows} rows dropped, {event.truncated_rows} cut, "
                f"{event.duplicate_rows} duplicates dropped"
            )
        case ClassesCounted():
            counts = [f"{label} {rows}" for label, rows in zip(event.labels, event.train_rows, strict=True)]
            rest = f" and {len(counts) - CLASSES_SHOWN} more" if len(counts) > CLASSES_SHOWN else ""
            return f"{len(counts)} classes by their rows to train on: {', '.join(counts[:CLASSES_SHOWN])}{rest}"
        case TrainingStarted():
            return (
                f"training {event.trainable_parameters:,} of {event.total_parameters:,} parameters on {event.device} "
                f"({event.dtype}): {event.total_steps} steps of {event.effective_batch_rows} rows"
            )
        case Evaluated():
            figures = {"perplexity": event.eval_perplexity, **event.metrics}
            shown = [
                f", {name.removeprefix('eval_')} {value:.3f}" for name, value in figures.items() if value is not None
            ]
            return f"step {event.step}: eval loss {event.eval_loss:.4f}" + "".join(shown)
        case MicroBatchShrunk():
            return (
                f"memory ran out at step {event.step}: micro-batches hold at most {event.tokens:,} tokens from now on; "
                f"the same batch is computed again, and the result is what it would have been ({event.reason})"
            )
        case Sampled():
            prompt, answer = " ".join(event.prompt.split()), " ".join(event.completion.split())
            asked = "…" + prompt[1 - SAMPLE_LETTERS :] if len(prompt) > SAMPLE_LETTERS else prompt
            return f"sample: {asked} → {answer[:SAMPLE_LETTERS]}" + "…" * (len(answer) > SAMPLE_LETTERS)
        case CheckpointSaved():
            return f"saved {event.path}"
        case Resumed():
            return f"going on after step {event.step}, from {event.path}"
        case StoppedEarly():
            return (
                f"stopped early at step {event.step}: {event.evaluations} evaluations in a row brought nothing; the "
                f"best {event.metric} stays {'unknown' if event.best is None else format(event.best, '.4f')}"
            )
        case TrainingEnded():
            return (
                f"trained {event.step} steps in {event.seconds:.1f} s, mean loss {event.train_loss:.4f}; "
                f"kept the weights of step {event.best_step}"
            )
        case ExportVerified():
            return (
                f"verified {event.path}: same top token at {event.top1_agreement:.1%} of {event.positions} positions, "
                f"KL mean {event.mean_kl:.2g}, max {event.max_kl:.2g}"
            )
        case Exported():
            return f"exported {event.path} ({event.bytes / 2**20:.1f} MiB)"
        case _:
            return None


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
            case TrainingStarted():
                self._say(event)
                self._task("training", event.total_steps, self._begun)
            case StepEnded():
                self._progress.update(self._tasks["training"], completed=event.step, figures=self._speed.figures(event))
            case Progressed():
                self._progress.update(self._task(event.stage, event.total), completed=event.done)
            case Evaluated():
                self._speed.evaluated(event)
                self._say(event)
            case _:
                self._say(event)

    def _task(self, name: str, total: int, done: int = 0) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total, completed=done, figures="")
        return self._tasks[name]

    def _say(self, event: Event) -> None:
        if line := describe(event):
            quiet = isinstance(event, StageStarted | Noted | Sampled)
            style = "yellow" if isinstance(event, Warned) else "dim" if quiet else ""
            self._progress.console.print(Text(printable(line), style))


class _Plain:
    """Lines for a log: about PLAIN_LINES steps of a run, and everything else that has something to say."""

    def __init__(self) -> None:
        self._speed, self._total, self._started = _Speed(), 0, time.monotonic()
        self._begun = 0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Resumed):
            self._begun = event.step
        if isinstance(event, TrainingStarted):
            self._total, self._started = event.total_steps, time.monotonic()
        if isinstance(event, Evaluated):
            self._speed.evaluated(event)
        if isinstance(event, StepEnded):
            self._step(event)
        elif line := describe(event):
            click.echo(printable(line))

    def _step(self, event: StepEnded) -> None:
        figures = self._speed.figures(event)
        every = max(1, self._total // PLAIN_LINES)
        if event.step % every == 0 or event.step in (self._begun + 1, self._total):
            elapsed = time.monotonic() - self._started
            left = elapsed / (event.step - self._begun) * (self._total - event.step)
            click.echo(f"step {event.step}/{self._total}  {figures}  {left:.0f} s left")
