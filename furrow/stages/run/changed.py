"""What is another thing now than when a run began: its strategy, its rows, its base model, the packages it runs on.

What a step depends on may not change in silence: such a change is refused before anything is touched, or was allowed by
name, and then it holds from the next step on and is kept in manifest.json.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from furrow.components.base_models import BaseModelConfig
from furrow.components.config import Bound, Fixed
from furrow.components.disk.checkpoint_folder import checkpoints_in
from furrow.components.errors import RequestError
from furrow.components.events import Emit
from furrow.components.fingerprint import first_difference
from furrow.components.models.identity import folder_of, identity
from furrow.stages.data.rows import Rows
from furrow.stages.run.change_report import BASE_MODEL, recorded, refuse, say, say_versions
from furrow.stages.run.folder import RunFolder
from furrow.strategies.changes import Change, allowed, changes, shown
from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import Loaded, load, names
from furrow.strategies.moved_keys import CONFIG, full
from furrow.strategies.schema import Strategy

_PLACES = frozenset({
    (*CONFIG, "training_args", "output_dir"),
    *(("dataset", name) for name in ("train_file", "eval_file", "reader", "format", "columns")),
    *((*BASE_MODEL, name) for name in ("builtin", "path", "huggingface_id")),
})  # fmt: skip
_OTHER_MODEL = (
    "name a folder with the model that it was as base_model.path, or allow this one: --allow-change base_model"
)


@dataclass(frozen=True)
class Changes:
    """What has changed since a run began, all of it free or allowed. Empty for a run that begins."""

    found: Sequence[Change] = ()
    _manifest: Mapping[str, Any] = field(default_factory=dict)
    """As it was."""
    _allow: Sequence[str] = ()

    @staticmethod
    def since(run: RunFolder, loaded: Loaded, rows: Rows, allow: Sequence[str]) -> Changes:
        """Reads the run folder and touches nothing. Raises RequestError with everything that is refused, at once."""
        manifest, now = run.read_manifest(), base_model_facts(loaded.strategy)
        found = of_strategy(run, loaded)
        found += _of_rows(manifest, rows)
        found += _of_base_model(manifest.get("base_model"), now, loaded)
        permitted = allowed([name for name in allow if now is not None or not _names_base_model(name)], found)
        fixed = [change for change in found if change.is_fixed]
        bound = [change for change in found if not (change.is_free or change.is_fixed or change.path in permitted)]
        refuse(run, fixed, bound)
        return Changes(found, manifest, allow)

    def require_same_classes(self, names: Sequence[str] | None) -> None:
        """Raises RequestError where the rows have other classes: the head would have other rows."""
        before = self._manifest.get("labels", names)
        if before != names:
            old, new = (", ".join(each or ()) or None for each in (before, names))
            raise RequestError(
                f"the classes were {shown(old)}, and are {shown(new)}: the head that has learned has a row for each",
                where="--resume",
                remedy="bring the data back, or begin anew with another --output-dir",
            )

    def follow(self, checkpoint: Path, versions: Mapping[str, str], emit: Emit) -> list[dict[str, Any]]:
        """Says what holds after that checkpoint; returns the list `changes` for the manifest."""
        [step] = [number for number, path in checkpoints_in(checkpoint.parent).items() if path == checkpoint]
        say_versions(self._manifest.get("versions", {}), versions, emit)
        say(self.found, step, emit)
        return recorded(self._manifest.get("changes", []), self.found, step)

    def verified(self, base_model: dict[str, Any] | None, loaded: Loaded) -> dict[str, Any] | None:
        """The facts of the model that was loaded, which the hub may have changed since they were compared."""
        found = _of_base_model(self._manifest.get("base_model"), base_model, loaded)
        known = any(change.path == BASE_MODEL for change in self.found) or any(map(_names_base_model, self._allow))
        if found and (found[0].is_fixed or not known):
            what = f"the base model is another one by now: {found[0]}"
            raise RequestError(what, where="--resume", remedy=_OTHER_MODEL)
        return base_model


def base_model_facts(strategy: Strategy) -> dict[str, Any] | None:
    """For the manifest: which model is tuned. None where it is not to be had without a download."""
    model = getattr(strategy.fine_tuner.config, "base_model", None)
    if not isinstance(model, BaseModelConfig):
        return None
    folder = folder_of(model)
    found = None if folder is None else identity(folder, weights=model.init == "pretrained")
    return None if found is None else {"name": model.label, **found}


def _of_base_model(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None, loaded: Loaded) -> list[Change]:
    """None of either says nothing: a run of an older Furrow, or a model that is not downloaded yet."""
    if before is None or now is None:
        return []
    differing = [part for part in ("shape", "weights", "config", "tokenizer") if before.get(part) != now.get(part)]
    if not differing:
        return []
    old, new = (
        f"{', '.join(f'{part} {str(each.get(part))[:8]}' for part in differing)} of {each['name']}"
        for each in (before, now)
    )
    mark = Fixed("its tensors have other names or shapes") if "shape" in differing else Bound()
    return [Change(BASE_MODEL, old, new, mark, _place(loaded, BASE_MODEL))]


def of_strategy(run: RunFolder, loaded: Loaded) -> list[Change]:
    """What the strategy says otherwise than the run's, but where things lie: what lies there is compared."""
    if not run.strategy.is_file():
        return []
    return [change for change in changes(_as_it_was(run.strategy), loaded) if change.path not in _PLACES]


def _as_it_was(file: Path) -> Mapping[str, Any]:
    """The strategy of the run, with today's defaults for keys that are newer than it; as it is written, where today's
    Furrow would not take it."""
    try:
        return load(names(file)[0], file).strategy.model_dump(mode="json")
    except (StrategyErrors, RequestError):
        try:
            return dict(next(iter(yaml.safe_load(file.read_text(encoding="utf-8")).values())))
        except (yaml.YAMLError, AttributeError, TypeError, ValueError, RecursionError, StopIteration) as error:
            raise RequestError(
                "this is no strategy: what the run began with is not known",
                where=str(file),
                remedy="bring strategy.yaml back from a copy (final_model has one), or say --overwrite",
            ) from error


def _of_rows(manifest: Mapping[str, Any], rows: Rows) -> list[Change]:
    found = []
    were = manifest.get("rows", {})
    for side in dict.fromkeys(("train_file", "eval_file", *were, *rows.prints)):
        path: tuple[str, ...] = ("dataset", *side.split("."))
        before, now = were.get(side), rows.prints.get(side)
        name = rows.files.get(side, {}).get("path")
        if "rows" not in manifest:  # a run of a Furrow that knew the files alone
            sums = [each.get(side, {}).get("sha256") for each in (manifest.get("data", {}), rows.files)]
            if "data" in manifest and sums[0] != sums[1]:
                found.append(Change(path, f"sha256 {str(sums[0])[:8]}", f"sha256 {str(sums[1])[:8]}", Bound(), name))
        elif before is None or now is None:
            if before is not now:
                old, new = (None if each is None else f"{each['rows']} rows" for each in (before, now))
                found.append(Change(path, old, new, Bound(), name))
        elif before["sha256"] != now["sha256"]:
            first, last = first_difference(before, now)
            where = f"row {first}" if first == last else f"one of the rows {first} to {last}"
            old, new = (f"{each['rows']} rows, sha256 {each['sha256'][:8]}" for each in (before, now))
            found.append(Change(path, old, new, Bound(), f"{name or side}: {where} is the first that differs"))
    return found


def _names_base_model(name: str) -> bool:
    path = full(tuple(name.split(".")))
    return BASE_MODEL[: len(path)] == path


def _place(loaded: Loaded, path: tuple[str | int, ...]) -> Any:
    under = [place for written, place in loaded.body.places.items() if written[: len(path)] == path]
    return under[-1] if under else None
