"""What happened, as one stream of small typed events. Whoever wants to know subscribes; who emits knows no listener."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events; the name in files is the class name in snake_case."""


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event):
    """A part of the work began: `stage` names it for a person ('loading the model')."""

    stage: str


@dataclass(frozen=True, kw_only=True)
class Progressed(Event):
    """`done` of `total` units of the named stage are finished (bytes, rows, tensors)."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Noted(Event):
    """Something worth knowing that asks for nothing."""

    message: str


@dataclass(frozen=True, kw_only=True)
class Warned(Event):
    """Something is likely not as the user wants; `remedy` says what to do about it."""

    message: str
    remedy: str | None = None


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
class Resumed(Event):
    """The run goes on after `step` steps, from the checkpoint at `path`."""

    step: int
    path: str


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
        try:
            while self._waiting:
                current = self._waiting.popleft()
                for subscriber in self._subscribers:
                    subscriber(current)
        finally:
            self._handing_on = False


def event_name(event: Event) -> str:
    """`StepEnded` -> `step_ended`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def record(event: Event) -> dict[str, Any]:
    """The event as one JSON object, its name under `event`."""
    return {"event": event_name(event), **dataclasses.asdict(event)}


def json_line(event: Event) -> str:
    """The record as one line of JSON. JSON has no infinity, yet fp16's first gradient norms overflow: such a number
    becomes the text 'inf' or 'nan', which `float` reads back."""
    return json.dumps(_finite(record(event)), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
