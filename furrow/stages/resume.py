"""Going on with a run that was interrupted: from which checkpoint, and what its record forgets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from furrow.components.checkpoint_folder import checkpoints_in, damage, newest_whole, set_aside
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted, Warned
from furrow.components.publish import publish_text
from furrow.stages.run import RunFolder

NEWEST = Path("newest")
"""What is asked for where no checkpoint is named."""
_PLACES = ("components.fine_tuner.config.training_args.output_dir", "dataset.train_file", "dataset.eval_file")
"""Settings that say where something lies, which changes nothing; what the files hold is compared by their hashes."""


def go_on(run: RunFolder, asked: Path, filled: str, data: Mapping[str, Any], emit: Emit) -> Path:
    """The checkpoint to go on from: the one asked for, or the newest whole one. The folder must be claimed.

    What comes after it is taken back: later checkpoints are set aside, later lines of metrics.jsonl are dropped.
    `filled` and `data` are the strategy and the facts about the rows of this call. Raises RequestError where nothing
    can be gone on from, or where the data is not what it was; warns of a strategy that is not what it was.
    """
    _same_data(run, data)
    checkpoint = newest_whole(run.checkpoints, emit) if asked == NEWEST else _named(run, asked)
    if checkpoint is None:
        raise RequestError(f"no checkpoint in {run.checkpoints} is whole", remedy="say --overwrite to begin anew")
    numbers = {path: step for step, path in checkpoints_in(run.checkpoints).items()}
    step = numbers[checkpoint]
    for path, number in numbers.items():
        if number > step:
            emit(Noted(message=f"{path.name} comes after it, and is moved to {set_aside(path)}"))
    if run.strategy.is_file():
        _say_changes(yaml.safe_load(run.strategy.read_text(encoding="utf-8")), yaml.safe_load(filled), emit)
    cut_back(run.metrics, step)
    return checkpoint


def cut_back(metrics: Path, step: int) -> None:
    """Drops the first line about a later step and all that follow it, and a last line that was not finished."""
    if not metrics.is_file():
        return
    kept = []
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            break
        if event.get("step", 0) > step:
            break
        kept.append(line)
    publish_text(metrics, "".join(f"{line}\n" for line in kept))


def _named(run: RunFolder, asked: Path) -> Path:
    there = {path.resolve(): path for path in checkpoints_in(run.checkpoints).values()}
    found = there.get(asked.resolve()) or there.get((run.checkpoints / asked).resolve())
    if found is None:
        listed = ", ".join(path.name for path in there.values()) or "none"
        raise RequestError(f"{asked} is no checkpoint of {run.path}", where="--resume", remedy=f"there is: {listed}")
    wrong = damage(found)
    if wrong is not None:
        raise RequestError(
            f"the checkpoint {found.name} is damaged: {wrong}",
            where="--resume",
            remedy="say --resume without a path: it takes the newest one that is whole",
        )
    return found


def _same_data(run: RunFolder, data: Mapping[str, Any]) -> None:
    before = run.read_manifest().get("data")
    if before is None:
        return
    changes = [path for path, _, _ in _differences(before, data) if not path.endswith(".path")]  # a file may move
    if changes:
        changed = ", ".join(changes)
        raise RequestError(
            f"the data is not what the run began with ({changed}): its steps would see other rows",
            where="dataset",
            remedy="bring the data back, or say --overwrite to begin anew",
        )


def _say_changes(before: Any, now: Any, emit: Emit) -> None:
    changes = [
        f"{path.removeprefix('components.fine_tuner.config.')} ({old} → {new})"
        for path, old, new in _differences(before, now)
        if not path.endswith(_PLACES)
    ]
    if changes:
        emit(
            Warned(
                message=f"the strategy has changed since the run began, and is followed: {', '.join(changes)}",
                remedy="the result is that of neither; say --overwrite to begin anew",
            )
        )


def _differences(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in dict.fromkeys([*before, *now]):
            yield from _differences(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
    elif before != now:
        yield path, before, now
