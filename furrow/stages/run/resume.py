"""Going on with a run that was interrupted: from which checkpoint, and what its record forgets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from furrow.components.config import Free
from furrow.components.disk.checkpoint_folder import (
    QUARANTINE,
    checkpoints_in,
    damage,
    newest_whole,
    owes_evaluation,
    set_aside,
)
from furrow.components.disk.publish import publish_text
from furrow.components.disk.staging import remove
from furrow.components.errors import RequestError
from furrow.components.events import Emit, Noted
from furrow.stages.run.changed import of_strategy
from furrow.stages.run.folder import RunFolder
from furrow.strategies.files import Loaded

NEWEST = Path("newest")
"""What is asked for where no checkpoint is named."""


def go_on(run: RunFolder, asked: Path, emit: Emit) -> Path:
    """The checkpoint to go on from: the one asked for, or the newest whole one. The folder must be claimed.

    What comes after it is taken back: later checkpoints are set aside, later lines of metrics.jsonl are dropped.
    Raises RequestError where nothing can be gone on from.
    """
    checkpoint = newest_whole(run.checkpoints, emit) if _means_newest(run, asked) else _named(run, asked)
    if checkpoint is None:
        run.refuse_damaged()
        raise RequestError(f"{run.checkpoints} holds no checkpoint", remedy="somebody removed it just now")
    numbers = {path: step for step, path in checkpoints_in(run.checkpoints).items()}
    step = numbers[checkpoint]
    for path, number in numbers.items():
        if number > step:
            emit(Noted(message=f"{path.name} comes after it, and is moved to {set_aside(path)}"))
    cut_back(run.metrics, step)
    if owes_evaluation(checkpoint):
        forget_evaluation(run.metrics, step)
    if run.trained:
        emit(Noted(message=f"{run.final_model} comes after it, and is moved to {set_aside_model(run)}"))
    return checkpoint


def would_go_on(run: RunFolder, asked: Path) -> Path:
    """The checkpoint that `go_on` would take; nothing is moved. Raises RequestError where there is none."""
    if not _means_newest(run, asked):
        return _named(run, asked)
    found = list(reversed(checkpoints_in(run.checkpoints).values()))
    whole = next((checkpoint for checkpoint in found if damage(checkpoint) is None), None)
    if whole is None:
        raise RequestError(
            f"no checkpoint in {run.checkpoints} is whole, of {', '.join(each.name for each in found) or 'none'}",
            where="--resume",
            remedy="bring a whole one back from a copy, or begin anew with another --output-dir",
        )
    return whole


def require_longer(run: RunFolder, loaded: Loaded) -> None:
    """Raises RequestError for a run that is finished, unless it is to have more steps than it had."""
    if not run.finished:
        return
    longer = [each for each in of_strategy(run, loaded) if isinstance(each.on_resume, Free) and each.on_resume.growing]
    if not any(each.is_free for each in longer):
        run.refuse_finished()


def is_trained(run: RunFolder, loaded: Loaded) -> bool:
    """Whether the training that this strategy asks for came to its end already, so that only exports are missing."""
    if not (run.unfinished and run.trained and run.strategy.is_file()):
        return False
    return all(isinstance(each.on_resume, Free) and not each.on_resume.growing for each in of_strategy(run, loaded))


def set_aside_model(run: RunFolder) -> Path:
    """Moves the trained model out of the way, to the checkpoints that are set aside."""
    place = run.checkpoints / QUARANTINE / run.final_model.name
    place.parent.mkdir(parents=True, exist_ok=True)
    remove(place)
    return run.final_model.rename(place)


def forget_evaluation(metrics: Path, step: int) -> None:
    """Drops what was measured and sampled after that step, which is done once more."""
    if not metrics.is_file():
        return
    lines = list(_whole_lines(metrics))
    ended = [number for number, (_, event) in enumerate(lines) if _is(event, "step_ended", step)]
    begins = ended[-1] if ended else 0
    kept = [
        line
        for number, (line, event) in enumerate(lines)
        if number < begins or not (_is(event, "evaluated", step) or _is(event, "sampled", step))
    ]
    publish_text(metrics, "".join(f"{line}\n" for line in kept))


def cut_back(metrics: Path, step: int) -> None:
    """Drops the first line about a later step and all that follow it, and a last line that was not finished.

    What comes before the checkpoint of that step was saved stays whole: the run may have gone back to it from a later
    step, and come by once more.
    """
    if not metrics.is_file():
        return
    lines = list(_whole_lines(metrics))
    saved = [number for number, (_, event) in enumerate(lines) if _is(event, "checkpoint_saved", step)]
    begins = saved[-1] if saved else 0
    later = (number for number in range(begins, len(lines)) if lines[number][1].get("step", 0) > step)
    kept = lines[: next(later, len(lines))]
    publish_text(metrics, "".join(f"{line}\n" for line, _ in kept))


def _whole_lines(metrics: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in metrics.read_text(encoding="utf-8").splitlines():
        try:
            yield line, json.loads(line)
        except ValueError:
            return


def _is(event: Mapping[str, Any], name: str, step: int) -> bool:
    return event.get("event") == name and event.get("step") == step


def _means_newest(run: RunFolder, asked: Path) -> bool:
    return asked == NEWEST or asked.resolve() in (run.path.resolve(), run.checkpoints.resolve())


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
