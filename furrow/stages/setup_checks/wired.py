"""Every component that a strategy puts to work, from the first row to the last export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from furrow.components.registry import find
from furrow.stages import wire
from furrow.stages.data.dataset_files import READERS
from furrow.stages.data.examples import objective_of
from furrow.stages.export import wanted
from furrow.strategies.schema import Strategy
from furrow.strategies.wiring import Wired


def wired_components(strategy: Strategy) -> Iterator[Wired]:
    """In the order in which they work. A reader that only the file's ending chooses is among them."""
    dataset = strategy.dataset
    if dataset.reader is not None:
        yield dataset.reader
    else:
        yield from _readers_by_ending(dataset.train_file, dataset.eval_file)
    if dataset.eval_file is None and dataset.eval_split:
        yield dataset.splitter
    if objective_of(strategy) != "pretrain":
        yield strategy.prompt_template
    yield strategy.fine_tuner
    own = getattr(strategy.fine_tuner.config, "components", tuple)  # rewards
    for slot, kind, settings in own():
        yield _wire(slot, kind, **settings)
    yield from wire.trackers(strategy.monitoring)
    for kind, _, settings in wanted(strategy.export, strategy.model_name, Path()):
        yield _wire("exporter", kind, **settings)
    yield strategy.model_app


def _readers_by_ending(*files: str | None) -> Iterator[Wired]:
    endings = {Path(file).suffix.lower() for file in files if file}
    for ending in sorted(endings & READERS.keys()):
        kind, settings = READERS[ending]
        yield _wire("dataset_reader", kind, **settings)


def _wire(slot: str, kind: str, **settings: Any) -> Wired:
    component = find(slot, kind)
    return Wired(slot, kind, component, component.config.model_validate_json(json.dumps(settings)))
