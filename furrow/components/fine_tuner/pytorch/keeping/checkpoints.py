"""What training needs to go on, on disk: each checkpoint whole or absent, the newest few kept, and the best."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from furrow.components.disk.checkpoint_folder import MODEL, STATE, checkpoints_in, name_of, newest_whole, set_aside
from furrow.components.disk.checkpoint_saving import publishing_checkpoint, remove_older
from furrow.components.events import Emit, Warned
from furrow.components.fine_tuner.pytorch.keeping.room import checkpoint_bytes
from furrow.components.fine_tuner.pytorch.keeping.saved_state import read_saved_state
from furrow.components.fine_tuner.pytorch.keeping.tensor_file import write_tensors
from furrow.components.fine_tuner.pytorch.model.weights import save_weights
from furrow.components.models.safetensors_header import read_header

Tensors = dict[str, torch.Tensor]


class Checkpoints:
    """Saves into `folder/step-00000120/`. Keeps `limit` newest ones (all if None), always the best, and the newest of
    those that are proven, where `proven_before` says which are.

    A checkpoint holds `model/`, which can be loaded and asked, the tensors that training needs besides (a file a kind,
    such as `optimizer.safetensors`), and all its numbers as `state.json`. What follows from the strategy (learning
    rates, decay, the order of rows) is not in it.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder, self._limit = folder, limit
        self._saved: list[Path] = []
        self.best_step: int | None = None
        self.proven_before: int | None = None
        """A step that was finite: so was what it began from. Of a checkpoint that nothing was computed from yet, nobody
        knows: weights of 1e30 are finite, and give nothing that is."""

    @property
    def saved(self) -> Sequence[int]:
        """The steps of those that are there."""
        return list(checkpoints_in(self._folder))

    def path(self, step: int) -> Path:
        return self._folder / name_of(step)

    def newest(self, emit: Emit) -> Path | None:
        """The newest one that is whole; damaged ones that are newer are set aside."""
        return newest_whole(self._folder, emit)

    def leave(self, step: int, emit: Emit) -> None:
        """Sets aside those of that step and later, from which nothing came that is finite; not where none is older."""
        lying = checkpoints_in(self._folder)
        if all(each >= step for each in lying):
            return
        for each, path in lying.items():
            if each >= step:
                message = f"the checkpoint {path.name} gives nothing that is finite, whatever the batch"
                emit(Warned(message=message, remedy=f"it was moved to {set_aside(path)}"))

    def take_over(self, best_step: int | None) -> None:
        """Counts the checkpoints that lie there already as its own: those of the run that is gone on with."""
        self._saved = [self.path(step) for step in checkpoints_in(self._folder)]
        self.best_step = best_step

    def save(
        self, step: int, model: Any, tokenizer: Any, state: Mapping[str, Any], tensors: Mapping[str, Tensors]
    ) -> Path:
        """Publishes everything as it is after `step` steps, once; afterwards older checkpoints go."""
        destination = self.path(step)
        if destination not in self._saved:
            needed = checkpoint_bytes(model, tensors)
            with publishing_checkpoint(destination, step, needed=needed) as (staging, hashing):
                save_model(model, tokenizer, staging / MODEL)
                hashing.written(*(file for file in (staging / MODEL).rglob("*") if file.is_file()))
                for kind, named in tensors.items():
                    write_tensors(staging / f"{kind}.safetensors", named, hashing)
                (staging / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
            self._saved.append(destination)
            proven = max((each for each in self.saved if each < (self.proven_before or 0)), default=None)
            remove_older(
                self._saved, self._limit, but=[self.path(each) for each in (self.best_step, proven) if each is not None]
            )
        return destination


def read_state(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Tensors]]:
    """(state, tensors by kind) as they were saved. Raises FurrowError where one of them is no such thing."""
    state, files = read_numbers(checkpoint), sorted(checkpoint.glob("*.safetensors"))
    for file in files:
        read_header(file)
    return state, {file.stem: load_file(file) for file in files}


def read_numbers(checkpoint: Path) -> dict[str, Any]:
    """The state without its tensors."""
    return read_saved_state(checkpoint / STATE)


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """The trained weights (the adapter alone, where there is one) as safetensors, with the tokenizer."""
    save_weights(model, folder)
    tokenizer.save_pretrained(folder)
