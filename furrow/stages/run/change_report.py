"""What is said, and what is kept, of the changes since a run began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted, Warned
from furrow.stages.run import clock
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.way_out import learned_in
from furrow.strategies.changes import Change
from furrow.strategies.moved_keys import CONFIG

BASE_MODEL = (*CONFIG, "base_model")
_FROM_MACHINE = ("platform",)
"""Of the versions: changes with every update of the kernel, and computes nothing."""


def refuse(run: RunFolder, fixed: Sequence[Change], bound: Sequence[Change]) -> None:
    """Raises RequestError where there are any: what each was and is, and what can be done about it."""
    if not (fixed or bound):
        return
    lines = ["this is not what the run began with, and its steps depend on it:"]
    lines += [f"  {change}" for change in bound]
    lines += [f"  {change}: cannot change within a run, {change.on_resume.why}" for change in fixed]
    says = ["undo it, or begin anew with another --output-dir (or --overwrite)"]
    if fixed:
        says.append(_way_out(run, fixed))
    if bound:
        keys = " ".join(f"--allow-change {key}" for key in dict.fromkeys(change.key for change in bound))
        says.append(f"what is to hold from the next step on is allowed by {keys}")
    raise RequestError("\n".join(lines), where="--resume", remedy="\n  ".join(says))


def _way_out(run: RunFolder, fixed: Sequence[Change]) -> str:
    """How the weights that were learned so far are taken along into another run."""
    model = learned_in(run.checkpoints, run.final_model)
    if (model / "config.json").is_file():
        return f"a new run goes on from these weights with base_model.path: {model}"
    in_method = any(change.path[: len(CONFIG) + 1] in ((*CONFIG, "method"), BASE_MODEL) for change in fixed)
    if in_method:
        return f"a new run goes on from them after `furrow convert {model} MERGED --format merged`, as base_model.path"
    return f"a new run goes on from this adapter with method.init_from: {model}"


def say(found: Sequence[Change], step: int, emit: Emit) -> None:
    """What is followed from the next step on, and what has changed without a bearing on the steps."""
    bound = [change for change in found if not change.is_free]
    free = [change for change in found if change.is_free]
    if free:
        emit(Noted(message=f"changed since the run began: {'; '.join(map(str, free))}"))
    if bound:
        emit(
            Warned(
                message=f"changed after step {step}, as --allow-change says: {'; '.join(map(str, bound))}",
                remedy="the result is that of neither strategy; manifest.json keeps what was changed, and when",
            )
        )


def say_versions(before: Mapping[str, str], now: Mapping[str, str], emit: Emit) -> None:
    """A warning: other packages may round otherwise, or compute otherwise."""
    differing = [
        f"{name} {before.get(name, 'none')} → {now.get(name, 'none')}"
        for name in dict.fromkeys([*before, *now])
        if name not in _FROM_MACHINE and before.get(name) != now.get(name)
    ]
    if before and differing:
        emit(
            Warned(
                message=f"the run began on other versions: {', '.join(differing)}",
                remedy="its figures may differ from here on; install those versions to go on exactly",
            )
        )


def recorded(before: Sequence[Mapping[str, Any]], found: Sequence[Change], step: int) -> list[dict[str, Any]]:
    """The list `changes` of the manifest, with those that hold after `step`.

    Where the run was taken back to an earlier step, what had changed later holds from that step on. Of several changes
    of a key after one step the first old and the last new value count.
    """
    at = clock.now()
    made = [{"key": each.key, "old": each.old, "new": each.new, "after_step": step, "at": at} for each in found]
    kept: dict[tuple[str, int], dict[str, Any]] = {}
    for entry in (*({**each, "after_step": min(each["after_step"], step)} for each in before), *made):
        place = entry["key"], entry["after_step"]
        if place in kept:
            entry = {**entry, "old": kept.pop(place)["old"]}
        if entry["old"] != entry["new"]:
            kept[place] = entry
    return list(kept.values())
