"""What training needs to go on, on disk: each checkpoint whole or absent, the newest few kept, and the best."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from furrow.components.checkpoint_folder import checkpoints_in, name_of, write_manifest
from furrow.components.fine_tuner.pytorch.model.weights import save_weights
from furrow.components.publish import publishing, remove

MODEL, STATE = "model", "state.json"
Tensors = dict[str, torch.Tensor]


class Checkpoints:
    """Saves into `folder/step-00000120/`. Keeps `limit` newest ones (all if None) and always the best.

    A checkpoint holds `model/`, which can be loaded and asked, the tensors that training needs besides (a file a kind,
    such as `optimizer.safetensors`), and all its numbers as `state.json`. What follows from the strategy (learning
    rates, decay, the order of rows) is not in it.
    """

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder, self._limit = folder, limit
        self._saved: list[int] = []
        self.best_step: int | None = None

    def path(self, step: int) -> Path:
        return self._folder / name_of(step)

    def take_over(self, best_step: int | None) -> None:
        """Counts the checkpoints that lie there already as its own: those of the run that is gone on with."""
        self._saved = list(checkpoints_in(self._folder))
        self.best_step = best_step

    def save(
        self, step: int, model: Any, tokenizer: Any, state: Mapping[str, Any], tensors: Mapping[str, Tensors]
    ) -> Path:
        """Publishes everything as it is after `step` steps, once; afterwards older checkpoints go."""
        destination = self.path(step)
        if step not in self._saved:
            with publishing(destination) as staging:
                save_model(model, tokenizer, staging / MODEL)
                for kind, named in tensors.items():
                    save_file(named, staging / f"{kind}.safetensors")
                (staging / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
                write_manifest(staging, step)
            self._saved.append(step)
            self._rotate()
        return destination

    def _rotate(self) -> None:
        if self._limit is None:
            return
        for step in self._saved[: -self._limit]:
            if step != self.best_step:
                remove(self.path(step))
                self._saved.remove(step)


def read_state(checkpoint: Path) -> tuple[dict[str, Any], dict[str, Tensors]]:
    """(state, tensors by kind) as they were saved."""
    tensors = {file.stem: load_file(file) for file in checkpoint.glob("*.safetensors")}
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8")), tensors


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """The trained weights (the adapter alone, where there is one) as safetensors, with the tokenizer."""
    save_weights(model, folder)
    tokenizer.save_pretrained(folder)
