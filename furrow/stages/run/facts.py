"""What the manifest of a run says, as it becomes known."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from furrow.components.events import Event, Exported, ExportVerified, MicroBatchShrunk, TrainingStarted
from furrow.components.versions import versions
from furrow.stages.data.training_data import TrainingData
from furrow.stages.reporting.record import read_record
from furrow.stages.run.changed import Changes, base_model_facts
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.request import order_seed_of
from furrow.strategies.files import Loaded, filled_yaml

_OF_NOW = ("furrow", "strategy", "strategy_sha256", "versions")


def facts_of(loaded: Loaded, data: TrainingData) -> dict[str, Any]:
    """What is known before the first step: with what is run."""
    strategy = loaded.strategy
    return {
        "strategy": strategy.key,
        "strategy_sha256": hashlib.sha256(filled_yaml(strategy).encode()).hexdigest(),
        "seed": order_seed_of(strategy),
        "versions": versions(),
        "rows_set_aside": len(data.rows.bad.found),
        "rows": data.rows.prints,
        "labels": data.labels,
        "data": {**data.rows.files, "train_rows": len(data.rows.train), "eval_rows": len(data.rows.evaluation)},
    }


def still_true(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest says of a model that is trained already: all but with what its exports are made now."""
    return {name: fact for name, fact in manifest.items() if name not in _OF_NOW}


class RunFacts:
    """The facts of one run, and what only the run itself finds out: which model it is that was loaded, how large a
    micro-batch may be on this machine, what was exported, and how that compares with the model. Listens to events."""

    def __init__(self, facts: dict[str, Any], run: RunFolder, loaded: Loaded, changes: Changes) -> None:
        self._facts, self._run, self._loaded, self._changes = {**facts, "exports": []}, run, loaded, changes
        self._verified: list[ExportVerified] = []

    def recall(self) -> None:
        """Takes over what the run noted of its memory before it was cut off."""
        if shrunk := read_record(self._run.metrics).named("micro_batch_shrunk"):
            self._facts["memory_ran_out"] = [{"step": event["step"], "tokens": event["was"]} for event in shrunk]

    def begin(self) -> None:
        """Publishes the manifest with the strategy, first of all: it says that what lies here is not whole."""
        self._run.write_grounds({**self._facts, "finished": False}, filled_yaml(self._loaded.strategy))

    def write(self, *, finished: bool) -> None:
        """Publishes the manifest."""
        self._run.write_manifest({**self._facts, "finished": finished})

    def __call__(self, event: Event) -> None:
        match event:
            case TrainingStarted():  # by now the model is there, downloaded if need be; no checkpoint is, yet
                self._facts["micro_batch_tokens"] = event.micro_batch_tokens
                model = base_model_facts(self._loaded.strategy)
                self._facts["base_model"] = self._changes.verified(model, self._loaded)
                self.write(finished=False)
            case MicroBatchShrunk():
                self._facts["micro_batch_tokens"] = event.tokens
                self._facts.setdefault("memory_ran_out", []).append({"step": event.step, "tokens": event.was})
            case ExportVerified():
                self._verified.append(event)
            case Exported():
                figures = [vars(verified) for verified in self._verified]
                made = {"format": event.format, "path": event.path, "bytes": event.bytes, "verified": figures}
                self._facts["exports"].append(made)
                self._verified = []
