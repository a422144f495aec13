"""What happened, as one stream of small typed events. Whoever wants to know subscribes; who emits knows no listener."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from furrow.components.secrets import scrubbed_values


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events; the name in files is the class name in snake_case."""


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    """A part of the work began: `stage` names it for a person ('loading the model')."""

    stage: str


@dataclass(frozen=True, kw_only=True)
class Progressed(Event):
    """`done` of `total` units of the named stage are finished (bytes, rows, tensors); None: nobody knows how many."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something worth knowing that asks for nothing."""

    message: str


@dataclass(frozen=True, kw_only=True)
class TextsSent(Noted):
    """Texts of the rows are put to a model from here on. Unlike what is found out about the rows it is not said again
    where they are found prepared: then nothing is sent."""


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """Something is likely not as the user wants; `remedy` says what to do about it."""

    message: str
    remedy: str | None = None


@dataclass(frozen=True, kw_only=True)
class RowsSetAside(Event):
    """So many of the rows read cannot be used and are left out (`dataset.on_bad_row: skip`); `path` is the file that
    holds them, where the run keeps one."""

    rows: int
    of: int
    first: list[str]
    """`file:line (what is wrong)` of the first few."""
    path: str | None = None


@dataclass(frozen=True, kw_only=True)
class DataPrepared(Event):
    """Rows became examples: counts of rows and tokens; dropped and truncated rows are never silent."""

    train_rows: int
    eval_rows: int
    train_tokens: int
    learned_tokens: int
    truncated_rows: int
    dropped_rows: int
    duplicate_rows: int
    median_tokens: int | None = None
    longest_tokens: int | None = None
    """Of the training rows, as they are learned."""
    max_length: int | None = None
    cut_answers: int = 0
    """Training rows that lose a part of what is learned."""
    read_rows: int | None = None
    """Of all files, the bad ones among them: those that are set aside, dropped, duplicates, learned and measured on
    together, and what augmentations made not among them."""
    set_aside_rows: int = 0
    """Rows that cannot be used (`dataset.on_bad_row: skip`)."""
    sets: int = 1
    """How many sets they are of. Where there are several, the rows to train on are those of which each epoch draws;
    what it draws, MixDelivered says."""


@dataclass(frozen=True, kw_only=True)
class ClassesCounted(Event):
    """The classes of a classifier, in the order of their numbers, and how many rows each has on either side."""

    labels: list[str]
    train_rows: list[int]
    eval_rows: list[int]


@dataclass(frozen=True, kw_only=True)
class TrainingStarted(Event):
    """The loop begins: steps are optimiser steps; parameters are counted one by one."""

    total_steps: int
    effective_batch_rows: int
    trainable_parameters: int
    total_parameters: int
    device: str
    dtype: str
    micro_batch_tokens: int | None = None
    """Most tokens of one forward pass, as the run begins."""


@dataclass(frozen=True, kw_only=True)
class StepEnded(Event):
    """One optimiser step: `loss` is the mean over the learned tokens of the whole effective batch, in nats."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    grad_norm: float
    learned_tokens: int
    total_tokens: int
    seconds: float
    memory_bytes: int | None = None
    """Peak memory so far: of the device, or of the process on a CPU. None where the system does not tell."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """What the objective measures besides its loss, on this effective batch."""
    idle_share: float | None = None
    """Share of the step in which the accelerator had nothing to do (0..1). None where that is not measured."""


@dataclass(frozen=True, kw_only=True)
class NonFinite(Event):
    """The numbers of a step are nan or inf, and nothing of it counts: `what` is loss, grad_norm or weights."""

    step: int
    what: str
    value: float
    learning_rate: float
    rows: list[str]
    """`file:line` of every row of the step."""
    guilty: list[str]
    """Those of them that give it alone, where it is a matter of rows."""
    action: str
    """stop, skip or rollback: what the strategy says to it."""
    weight: str | None = None
    """Name of the first weight that is not finite, where weights are to blame and not rows."""
    since: int | None = None
    """The step whose update left it so."""

    @property
    def told(self) -> str:
        """What was found, where, and in which rows, in one sentence."""
        what = {"loss": "the loss", "grad_norm": "the gradient norm", "weights": "a weight"}[self.what]
        text = f"{what} is {self.value} at step {self.step} (learning rate {self.learning_rate:.3g})"
        if self.weight is not None:
            since = "" if self.since is None else f" since the update of step {self.since}"
            text += f"; the weight {self.weight} is not finite{since}"
        if self.guilty and len(self.guilty) < len(self.rows):
            return f"{text}; so it is with {listed(self.guilty)} alone (rows of this step: {listed(self.rows)})"
        return f"{text}; rows of this step: {listed(self.rows)}"


def listed(rows: Sequence[str], most: int = 5) -> str:
    """The first of the places `file:line`, which may say more behind it, and how many more there are. Those of one file
    stand together, and its folders in the middle are left out: `demos/…/qa.jsonl:800, 989, 12 and 5 more`."""
    by_file: dict[str, list[str]] = {}
    for row in rows[:most]:
        place = re.fullmatch(r"(\S.*?):(\d+(?: .*)?)", row, re.DOTALL)
        by_file.setdefault(place[1] if place else row, []).extend([place[2]] if place else [])
    texts = [
        f"{file if len(lines) == 1 else _few_folders(file)}:{', '.join(lines)}" if lines else file
        for file, lines in by_file.items()
    ]
    return ", ".join(texts) + (f" and {len(rows) - most:,} more" if len(rows) > most else "")


def _few_folders(path: str) -> str:
    first, _, rest = path.strip("/").partition("/")
    return path if rest.count("/") < 1 else f"{path[: path.index(first)]}{first}/…/{rest.rpartition('/')[2]}"


@dataclass(frozen=True, kw_only=True)
class RolledBack(Event):
    """The run goes on after `step` steps once more, from the checkpoint at `path`, without the batch of `skipped`."""

    step: int
    path: str
    skipped: int
    learning_rate_scale: float
    """Of all learning rates from here on, by this rollback and those before."""


@dataclass(frozen=True, kw_only=True)
class MicroBatchShrunk(Event):
    """Memory ran out; from this step on, micro-batches hold at most `tokens` instead of `was`. Results are the same."""

    step: int
    tokens: int
    was: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The evaluation set was measured after `step` steps; perplexity is exp(eval_loss), where that means something."""

    step: int
    eval_loss: float
    eval_perplexity: float | None
    seconds: float
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """What the objective measures besides its loss: `eval_accuracy` and the like."""
    tables: dict[str, list[list[int]]] = dataclasses.field(default_factory=dict)
    """Counts that no single figure holds. `confusion` of a classifier: row i, column j holds the evaluation rows of
    class i that were taken for class j; the names of the classes stand in `ClassesCounted`."""


@dataclass(frozen=True, kw_only=True)
class Sampled(Event):
    """What the model answers after `step` steps; `reference` is the answer in the data, where there is one."""

    step: int
    prompt: str
    completion: str
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A checkpoint is whole on disk."""

    step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class SavePaused(Event):
    """What was learned up to `step` could not be written. Training waits, and tries again in `next_try` seconds; if the
    disk does not take it within `gives_up` seconds, the run ends."""

    step: int
    reason: str
    next_try: float
    gives_up: float


@dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """The run goes on after `step` steps, from the checkpoint at `path`."""

    step: int
    path: str
    learning_rate_scale: float = 1.0
    """What rollbacks before have multiplied all learning rates by."""


@dataclass(frozen=True, kw_only=True)
class Stopped(Event):
    """A signal ended the run; `message` says after which step, and where what was learned is saved."""

    signal: str
    message: str
    resumable: bool
    """Whether the same command with --resume goes on with it."""


@dataclass(frozen=True, kw_only=True)
class StoppedEarly(Event):
    """Training ends before its last step: `evaluations` in a row were not better than `best` by the threshold."""

    step: int
    metric: str
    best: float | None
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class TrainingEnded(Event):
    """The loop is over; `best_step` is where the weights that were kept come from."""

    step: int
    best_step: int
    train_loss: float
    best_metric: float | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ExportVerified(Event):
    """An export was compared with the model it came from: KL in nats, agreement as a share of positions (0..1)."""

    path: str
    mean_kl: float
    max_kl: float
    max_abs: float
    top1_agreement: float
    positions: int


@dataclass(frozen=True, kw_only=True)
class Exported(Event):
    """An export is whole on disk."""

    format: str
    path: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class LayoutsRecognised(Event):
    """How the rows of a file are laid out: how many have which layout, the most common first. `other`: columns that
    only a template with placeholders of their names knows."""

    file: str
    layouts: dict[str, int]
    columns: list[str]
    """Of the first row that has the most common one."""
    where: dict[str, list[str]]
    """`file:line` of the first few rows of each other layout."""
    renamed: dict[str, str] = dataclasses.field(default_factory=dict)
    """Meaning -> the column that the strategy says has it."""
    left_out: list[str] = dataclasses.field(default_factory=list)
    """Columns that are not read, since the strategy names another of that meaning, or a layout without them."""


@dataclass(frozen=True, kw_only=True)
class MixDelivered(Event):
    """What one epoch of a mix has of each of its sets, in their order."""

    files: list[str]
    wanted: list[float]
    """Share of the rows by the weights; together 1."""
    available: list[int]
    """Rows that each set has."""
    rows: list[int]
    """Those that are learned; more than are available where rows come several times."""
    tokens: list[int]
    learned_tokens: list[int]
    eval_rows: list[int]
    """Empty where an eval_file is measured on."""

    @property
    def shares(self) -> list[float]:
        """Of the rows that are learned."""
        return [rows / max(sum(self.rows), 1) for rows in self.rows]

    @property
    def learned_shares(self) -> list[float]:
        """Of the tokens that are learned, which is what the loss is a mean over."""
        return [tokens / max(sum(self.learned_tokens), 1) for tokens in self.learned_tokens]


@dataclass(frozen=True, kw_only=True)
class RowsAugmented(Event):
    """An augmentation made rows of training rows. `rows`: of how many; `equal`, `like_evaluation`: left out, since they
    say what another row says, or ask what is measured on; `failed`: could not be made."""

    type: str
    rows: int
    made: int
    equal: int
    like_evaluation: int
    failed: int
    reasons: dict[str, int]
    """Why, and how often: the most frequent ones."""
    asked: int | None = None
    """Questions that the model was asked; the others were known. None where none is asked."""


Emit = Callable[[Event], None]


class EventStream:
    """Hands every event to every subscriber, in the order they subscribed.

    A subscriber may emit in turn: that event waits until all have had the one before, so that all see one order.
    """

    def __init__(self, *subscribers: Emit) -> None:
        self._subscribers = list(subscribers)
        self._waiting: deque[Event] = deque()
        self._handing_on = False

    def subscribe(self, subscriber: Emit) -> None:
        self._subscribers.append(subscriber)

    def __call__(self, event: Event) -> None:
        self._waiting.append(event)
        if self._handing_on:
            return
        self._handing_on = True
        failed: Exception | None = None
        try:
            while self._waiting:
                current = _without_secrets(self._waiting.popleft())
                for subscriber in self._subscribers:
                    try:
                        subscriber(current)
                    except Exception as error:  # the others hear of it all the same: the record has no gap
                        failed = failed or error
        finally:
            self._handing_on = False
        if failed is not None:
            raise failed


def _without_secrets(event: Event) -> Event:
    """Trackers send what they hear to other machines."""
    held = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    changed = {name: new for name, value in held.items() if (new := scrubbed_values(value)) != value}
    return dataclasses.replace(event, **changed) if changed else event


def event_name(event: Event | type[Event]) -> str:
    """`StepEnded` -> `step_ended`."""
    kind = event if isinstance(event, type) else type(event)
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__).lower()


def record(event: Event) -> dict[str, Any]:
    """The event as one JSON object, its name under `event`."""
    return {"event": event_name(event), **dataclasses.asdict(event)}


def json_line(event: Event) -> str:
    """The record as one line of JSON. JSON has no infinity, yet fp16's first gradient norms overflow: such a number
    becomes the text 'inf' or 'nan', which `float` reads back. Secrets are hidden."""
    return json.dumps(_finite(scrubbed_values(record(event))), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
