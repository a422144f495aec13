"""What an event says to a person, in one line that is safe for a terminal."""

from __future__ import annotations

from furrow.components.events import (
    CheckpointSaved,
    ClassesCounted,
    DataPrepared,
    Evaluated,
    Event,
    Exported,
    ExportVerified,
    MicroBatchShrunk,
    NonFinite,
    Noted,
    Resumed,
    RolledBack,
    RowsSetAside,
    Sampled,
    SavePaused,
    StageStarted,
    StoppedEarly,
    TrainingEnded,
    TrainingStarted,
    Warned,
    listed,
)
from furrow.screen.text import one_line

SAMPLE_LETTERS = 80
"""Of a sample prompt the end (it holds the question) and of its answer the beginning; the report has them whole."""
CLASSES_SHOWN = 12
"""Classes of a classifier that are listed; the event has them all."""


def describe(event: Event) -> str | None:
    """One line for a person, safe for a terminal, or None for what only the bar shows."""
    for topic in (_message, _data, _training, _setback, _saved):
        if (told := topic(event)) is not None:
            return one_line(told)
    return None


def _message(event: Event) -> str | None:
    """What a stage has to say in words of its own."""
    match event:
        case StageStarted():
            return f"{event.stage} …"
        case Noted():
            return f"note: {event.message}"
        case Warned():
            return f"warning: {event.message}" + (f" ({event.remedy})" if event.remedy else "")
        case _:
            return None


def _data(event: Event) -> str | None:
    """About the rows."""
    match event:
        case DataPrepared():
            return (
                f"{event.train_rows} rows to train on, {event.eval_rows} to evaluate; {event.train_tokens:,} tokens, "
                f"{event.learned_tokens:,} learned; {event.dropped_rows} rows dropped, {event.truncated_rows} cut, "
                f"{event.duplicate_rows} duplicates dropped"
            )
        case RowsSetAside():
            more = f" and {event.rows - len(event.first)} more" if event.rows > len(event.first) else ""
            kept = f"; they stand in {event.path}" if event.path else ""
            return f"warning: {event.rows:,} of {event.of:,} rows set aside: {listed(event.first)}{more}{kept}"
        case ClassesCounted():
            counts = [f"{label} {rows}" for label, rows in zip(event.labels, event.train_rows, strict=True)]
            rest = f" and {len(counts) - CLASSES_SHOWN} more" if len(counts) > CLASSES_SHOWN else ""
            return f"{len(counts)} classes by their rows to train on: {', '.join(counts[:CLASSES_SHOWN])}{rest}"
        case _:
            return None


def _training(event: Event) -> str | None:
    """How training goes."""
    match event:
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
        case Sampled():
            prompt, answer = one_line(event.prompt), one_line(event.completion)
            asked = "…" + prompt[1 - SAMPLE_LETTERS :] if len(prompt) > SAMPLE_LETTERS else prompt
            return f"sample: {asked} → {answer[:SAMPLE_LETTERS]}" + "…" * (len(answer) > SAMPLE_LETTERS)
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
        case _:
            return None


def _setback(event: Event) -> str | None:
    """What got into its way, and what was done about it."""
    match event:
        case MicroBatchShrunk():
            return (
                f"memory ran out at step {event.step}: micro-batches hold at most {event.tokens:,} tokens from now on; "
                f"the same batch is computed again, and the result is what it would have been ({event.reason})"
            )
        case NonFinite():
            return {"stop": None, "skip": f"{event.told}; the step is left out"}.get(event.action, event.told)
        case RolledBack():
            return (
                f"going back to step {event.step} ({event.path}): step {event.skipped} is left out, learning rates "
                f"are {event.learning_rate_scale:g} times what they were to be"
            )
        case _:
            return None


def _saved(event: Event) -> str | None:
    """What was written."""
    match event:
        case CheckpointSaved():
            return f"saved {event.path}"
        case SavePaused():
            reason = "; ".join(line.strip() for line in event.reason.splitlines())
            return (
                f"warning: step {event.step} is not saved: {reason}; training waits, tries again in "
                f"{event.next_try:.0f} s and gives up after {event.gives_up:.0f} s"
            )
        case Resumed():
            return f"going on after step {event.step}, from {event.path}"
        case ExportVerified():
            return (
                f"verified {event.path}: same top token at {event.top1_agreement:.1%} of {event.positions} positions, "
                f"KL mean {event.mean_kl:.2g}, max {event.max_kl:.2g}"
            )
        case Exported():
            return f"exported {event.path} ({event.bytes / 2**20:.1f} MiB)"
        case _:
            return None
