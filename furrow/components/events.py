"""What happened, as one stream of small typed events. Whoever wants to know subscribes; who emits knows no listener."""

from __future__ import annotations

import dataclasses
import re
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
class TrainingStarted(Event):
    """The loop begins: steps are optimiser steps; parameters are counted one by one."""

    total_steps: int
    effective_batch_rows: int
    trainable_parameters: int
    total_parameters: int
    device: str
    dtype: str


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


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event):
    """The evaluation set was measured after `step` steps; perplexity is exp(eval_loss)."""

    step: int
    eval_loss: float
    eval_perplexity: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A checkpoint is whole on disk."""

    step: int
    path: str


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
    """Hands every event to every subscriber, in the order they subscribed."""

    def __init__(self, *subscribers: Emit) -> None:
        self._subscribers = list(subscribers)

    def subscribe(self, subscriber: Emit) -> None:
        self._subscribers.append(subscriber)

    def __call__(self, event: Event) -> None:
        for subscriber in self._subscribers:
            subscriber(event)


def event_name(event: Event) -> str:
    """`StepEnded` -> `step_ended`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(event).__name__).lower()


def record(event: Event) -> dict[str, Any]:
    """The event as one JSON object, its name under `event`."""
    return {"event": event_name(event), **dataclasses.asdict(event)}
