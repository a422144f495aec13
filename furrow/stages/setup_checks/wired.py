"""Every component that a strategy puts to work, from the first row to the last export."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from furrow.components.augmentation import AskedModel
from furrow.components.registry import find
from furrow.stages import wire
from furrow.stages.data.dataset_files import type_by_name
from furrow.stages.data.examples import objective_of
from furrow.stages.export import wanted
from furrow.strategies.schema import Strategy
from furrow.strategies.wiring import Wired


def wired_components(strategy: Strategy) -> Iterator[Wired]:
    """In the order in which they work. A reader that only a file's name chooses is among them."""
    dataset = strategy.dataset
    if dataset.reader is not None:
        yield dataset.reader
    else:
        yield from _readers_by_name(dataset.train_file, dataset.eval_file)
    yield from (source.reader for source in dataset.mix if source.reader is not None)
    yield from _readers_by_name(*(source.file for source in dataset.mix if source.reader is None))
    if dataset.is_split:
        yield from {splitter.type: splitter for splitter, _ in dataset.splits()}.values()
    for augmentation in dataset.augmentation:
        yield augmentation
        if isinstance(model := getattr(augmentation.config, "model_app", None), AskedModel):
            yield _wire("model_app", model.type, **model.config)
    if objective_of(strategy) != "pretrain":
        yield strategy.prompt_template
        yield from (source.template for source in dataset.mix if source.template is not None)
    yield strategy.fine_tuner
    own = getattr(strategy.fine_tuner.config, "components", tuple)  # rewards
    for slot, kind, settings in own():
        yield _wire(slot, kind, **settings)
    yield from wire.trackers(strategy.monitoring)
    for kind, _, settings in wanted(strategy.export, strategy.model_name, Path()):
        yield _wire("exporter", kind, **settings)
    yield strategy.model_app


def _readers_by_name(*files: str | None) -> Iterator[Wired]:
    named = [type_by_name(Path(file).expanduser()) for file in files if file]
    for kind, settings in {said[0]: said[1] for said in named if said}.items():
        yield _wire("dataset_reader", kind, **settings)


def _wire(slot: str, kind: str, **settings: Any) -> Wired:
    component = find(slot, kind)
    return Wired(slot, kind, component, component.config.model_validate_json(json.dumps(settings)))
