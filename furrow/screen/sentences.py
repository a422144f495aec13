"""What an event says to a person, in one line that is safe for a terminal."""

from __future__ import annotations

from furrow.components.errors import several
from furrow.components.events import (
    CheckpointSaved,
    ClassesCounted,
    DataPrepared,
    Evaluated,
    Event,
    Exported,
    ExportVerified,
    LayoutsRecognised,
    MicroBatchShrunk,
    MixDelivered,
    NonFinite,
    Noted,
    Resumed,
    RolledBack,
    RowsAugmented,
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
from furrow.components.plural import plural
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
            return _prepared(event)
        case RowsSetAside():
            more = f" and {event.rows - len(event.first)} more" if event.rows > len(event.first) else ""
            kept = f"; they stand in {event.path}" if event.path else ""
            return f"warning: {event.rows:,} of {plural(event.of, 'row')} set aside: {listed(event.first)}{more}{kept}"
        case LayoutsRecognised():
            return _layouts(event)
        case MixDelivered():
            return _mix(event)
        case RowsAugmented():
            return _augmented(event)
        case ClassesCounted():
            counts = [f"{label} {rows}" for label, rows in zip(event.labels, event.train_rows, strict=True)]
            rest = f" and {len(counts) - CLASSES_SHOWN} more" if len(counts) > CLASSES_SHOWN else ""
            classes = plural(len(counts), "class", "classes")
            return f"{classes} by their rows to train on: {', '.join(counts[:CLASSES_SHOWN])}{rest}"
        case _:
            return None


def _prepared(event: DataPrepared) -> str:
    """The short form of what `data inspect` says at length."""
    share = f" ({event.learned_tokens / event.train_tokens:.0%})" if event.train_tokens else ""
    lengths = ""
    if event.median_tokens is not None and event.longest_tokens is not None:
        most = f" of {event.max_length:,}" if event.max_length is not None else ""
        lengths = f", median {event.median_tokens:,} and at most {event.longest_tokens:,}{most} a row"
    answers = f" ({event.cut_answers:,} of the answers)" if event.cut_answers else ""
    read = ""
    if event.read_rows is not None:
        aside = f", {event.set_aside_rows:,} set aside" if event.set_aside_rows else ""
        read = f"{plural(event.read_rows, 'row')} read{aside}: "
    use = "to train on" if event.sets == 1 else f"of {event.sets} sets to draw from"
    return (
        f"{read}{plural(event.train_rows, 'row')} {use}, {event.eval_rows:,} to evaluate; "
        f"{plural(event.train_tokens, 'token')}{lengths}, {event.learned_tokens:,} learned{share}; "
        f"{plural(event.dropped_rows, 'row')} dropped, {event.truncated_rows:,} cut{answers}, "
        f"{plural(event.duplicate_rows, 'duplicate')} dropped"
    )


def _mix(event: MixDelivered) -> str:
    """Shares of rows are what the weights ask for, shares of learned tokens what the loss is made of."""
    parts = [
        f"{file} {rows:,} of {available:,} rows ({share:.1%} of the rows, {learned:.1%} of the learned tokens)"
        for file, rows, available, share, learned in zip(
            event.files, event.rows, event.available, event.shares, event.learned_shares, strict=True
        )
    ]
    return f"an epoch of the mix: {', '.join(parts)}"


def _layouts(event: LayoutsRecognised) -> str:
    """A file whose rows mix layouts is often two files, or one that was exported wrongly."""
    columns = several(event.columns) or "none"
    renamed = [f"{meaning} is {column}" for meaning, column in event.renamed.items() if meaning != column]
    said = f"; {', '.join(renamed)}" if renamed else ""
    said += f"; not read: {several(event.left_out)}" if event.left_out else ""
    (main, count), *others = event.layouts.items()
    if not others:
        rows = f"all {count:,} rows" if count != 1 else "the one row"
        return f"layout: {main} in {rows} of {event.file} (columns {columns}){said}"
    rest = [f"{many:,} {layout}: {_places(event.where.get(layout, []), many)}" for layout, many in others]
    return (
        f"warning: the rows of {event.file} mix layouts: {count:,} {main} (columns {columns}), {', '.join(rest)}{said}"
    )


def _places(first: list[str], rows: int) -> str:
    return listed(first) + (f" and {rows - len(first):,} more" if rows > len(first) else "")


def _augmented(event: RowsAugmented) -> str:
    left_out = {"equal to another row": event.equal, "like an evaluation row": event.like_evaluation}
    told = [f"{count:,} {what} left out" for what, count in left_out.items() if count]
    if event.failed:
        why = "; ".join(f"{reason}: {count:,}" for reason, count in event.reasons.items())
        told.append(f"{event.failed:,} could not be made ({why})")
    if event.asked is not None:
        told.append(f"{event.asked:,} questions put to the model")
    return f"{event.type}: {plural(event.made, 'row')} made of {event.rows:,}" + "".join(f", {each}" for each in told)


def _training(event: Event) -> str | None:
    """How training goes."""
    match event:
        case TrainingStarted():
            return (
                f"training {event.trainable_parameters:,} of {event.total_parameters:,} parameters on {event.device} "
                f"({event.dtype}): {plural(event.total_steps, 'step')} of "
                f"{plural(event.effective_batch_rows, 'row')}"
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
                f"trained {plural(event.step, 'step')} in {event.seconds:.1f} s, mean loss {event.train_loss:.4f}; "
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
