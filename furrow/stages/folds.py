"""The stage `folds`: what the trainings of a k_fold splitter measured, as a mean and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from furrow.components.errors import RequestError
from furrow.stages.reporting.record import read_record
from furrow.stages.run.changed import of_strategy
from furrow.stages.run.folder import RunFolder
from furrow.strategies.files import Loaded, load, names

_OF_ONE_FOLD = frozenset({("dataset", "splitter", "fold")})


@dataclass(frozen=True)
class Fold:
    """One training: its part, its folder, and what its kept weights measured on that part."""

    fold: int
    run: Path
    figures: dict[str, float]
    rows: int


@dataclass(frozen=True)
class Folds:
    """All of them, in the order of the folds."""

    of: int
    """How many folds the rows were cut into."""
    runs: Sequence[Fold]
    mean: dict[str, float]
    """Of each figure."""
    deviation: dict[str, float]
    """Standard deviation from fold to fold (n - 1); the mean itself is uncertain by about this over the root of n."""
    missing: Sequence[int] = field(default=())
    """Folds that are not among them."""


def compare_folds(folders: Sequence[Path]) -> Folds:
    """Reads the run folders and touches nothing. Raises RequestError for a folder that holds no finished run of a fold,
    for two of one fold, and for runs that differ in more than the fold."""
    if len(folders) < 2:
        raise RequestError("one training has no spread", remedy="name the run folders of two folds or more")
    read = [(_loaded(folder), RunFolder(folder)) for folder in folders]
    (first, first_run), *others = read
    config: Any = first.strategy.dataset.splitter.config
    runs: dict[int, Fold] = {}
    for loaded, run in read:
        made = _fold(loaded, run)
        if made.fold in runs:
            raise RequestError(f"it is of fold {made.fold}, as is {runs[made.fold].run}", where=str(run.path))
        runs[made.fold] = made
    for loaded, run in others:
        _require_same(first_run, loaded, run)
    figures = [name for name in runs[min(runs)].figures if all(name in each.figures for each in runs.values())]
    values = {name: [each.figures[name] for each in runs.values()] for name in figures}
    return Folds(
        of=config.folds,
        runs=[runs[number] for number in sorted(runs)],
        mean={name: statistics.fmean(each) for name, each in values.items()},
        deviation={name: statistics.stdev(each) for name, each in values.items()},
        missing=[number for number in range(1, config.folds + 1) if number not in runs],
    )


def _loaded(folder: Path) -> Loaded:
    file = RunFolder(folder).strategy
    if not file.is_file():
        raise RequestError("there is no run in it", where=str(folder), remedy="name folders that `train` has made")
    loaded = load(names(file)[0], file)
    if loaded.strategy.dataset.splitter.type != "k_fold":
        kind = loaded.strategy.dataset.splitter.type
        raise RequestError(f"its splitter is {kind!r}, and a run of a fold is wanted", where=str(folder))
    return loaded


def _fold(loaded: Loaded, run: RunFolder) -> Fold:
    record = read_record(run.metrics)
    config: Any = loaded.strategy.dataset.splitter.config
    ended, evaluations = record.last("training_ended"), record.evaluations
    kept = [event for event in evaluations if ended and event["step"] == ended["best_step"]]
    if not kept:
        why = "the run has not come to its end" if not ended else "its kept weights were not measured"
        raise RequestError(
            why,
            where=str(run.path),
            remedy="go on with it: train --resume" if not ended else "train with an eval_strategy other than no",
        )
    figures = {"eval_loss": float(kept[-1]["eval_loss"])}
    figures |= {name: float(value) for name, value in (kept[-1].get("metrics") or {}).items()}
    return Fold(config.fold, run.path, figures, int((record.last("data_prepared") or {}).get("eval_rows", 0)))


def _require_same(first: RunFolder, loaded: Loaded, run: RunFolder) -> None:
    changed = [each for each in of_strategy(first, loaded) if not each.is_free and each.path not in _OF_ONE_FOLD]
    if changed:
        raise RequestError(
            f"it is not trained as {first.path} is: {changed[0]}",
            where=str(run.path),
            remedy="folds say something together where only dataset.splitter.fold differs",
        )
    if first.read_manifest().get("rows") != run.read_manifest().get("rows"):
        raise RequestError(f"its rows are others than those of {first.path}", where=str(run.path))
