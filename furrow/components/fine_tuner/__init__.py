"""Slot `fine_tuner`: labelled examples become an adapter or weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from furrow.components.events import Emit
from furrow.components.interruption import StopRequest
from furrow.components.records import AnyExample


@dataclass(frozen=True, kw_only=True)
class SamplePrompt:
    """A rendered prompt that the model answers while it learns; `reference` is the answer in the data."""

    prompt: str
    stop: tuple[str, ...] = ()
    max_new_tokens: int = 48
    reference: str | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What a fine-tuner is handed: examples, and where the results go."""

    train: Sequence[AnyExample]
    evaluation: Sequence[AnyExample] = ()
    order_seed: int | None
    """Of the order of the rows; None keeps their own."""
    checkpoints: Path
    """Folder of the checkpoints, `step-00000120` and so on."""
    final_model: Path
    """Where the model that is kept is published."""
    beside: Mapping[str, str]
    """Text files (name -> content) that are saved with the final model."""
    resume: Path | None = None
    """A whole checkpoint to go on from."""
    samples: Sequence[SamplePrompt] = ()
    """Prompts to answer at each evaluation."""
    max_length: int | None = None
    """Most tokens of one row: what short rows may be packed to. None: the longest row."""
    labels: tuple[str, ...] = ()
    """Names of the classes, in the order of their numbers."""
    export_bytes_per_parameter: float = 0.0
    """What is made of the model after training will take so much of the disk, for each parameter of the base."""
    stop: StopRequest = field(default_factory=StopRequest)
    """True once the run is to end: the step is finished, all is saved, and `Interrupted` is raised."""


class FineTuner(Protocol):
    """The factory takes the config. Where that has `resumes: ClassVar[bool] = False`, no run is gone on with from a
    checkpoint, and the stage says so before it touches one."""

    @property
    def tokenizer(self) -> Any:
        """A transformers tokenizer of the base model; to be had without the weights, so that a dry run is quick."""
        ...

    def verify(self) -> None:
        """Raises RequestError where the device or the precision that the config asks for is not there."""
        ...

    def start(self) -> None:
        """May begin what takes long (loading the model) while the caller prepares the data; may do nothing."""
        ...

    def train(self, request: TrainingRequest, emit: Emit) -> None:
        """Trains, saves checkpoints as configured, and publishes the model that is kept as `request.final_model`."""
        ...
