"""Weights on disk while training goes on: each checkpoint whole or absent, the newest few kept, and the best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peft import PeftModel

from furrow.components.publish import publishing, remove, sha256_of

MANIFEST = "MANIFEST.json"


class Checkpoints:
    """Saves into `folder/step-00000120/`. Keeps `limit` newest ones (all if None) and always the best."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder, self._limit = folder, limit
        self._saved: list[int] = []
        self.best_step: int | None = None

    def path(self, step: int) -> Path:
        return self._folder / f"step-{step:08d}"

    def save(self, step: int, model: Any, tokenizer: Any) -> Path:
        """Publishes the weights and tokenizer after `step` steps, once; afterwards older checkpoints go."""
        destination = self.path(step)
        if step not in self._saved:
            with publishing(destination) as staging:
                save_model(model, tokenizer, staging / "model")
                sums = {
                    str(file.relative_to(staging)): sha256_of(file)
                    for file in sorted(staging.rglob("*"))
                    if file.is_file()
                }
                (staging / MANIFEST).write_text(json.dumps({"step": step, "sha256": sums}, indent=1))
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


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """The trained weights (the adapter alone, where there is one) as safetensors, with the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, PeftModel):
        # The vocabulary is never resized here; by default PEFT would ask the hub for the base's config to find out.
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
