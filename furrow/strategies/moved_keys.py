"""Keys that a strategy may give in another block than the one they belong to: taken where they belong, with a note.

The guides put generation settings and `eval_split` into `training_args`, and show `method:` or `training_args:` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from furrow.components.events import Event, Noted, Warned
from furrow.strategies.errors import Path, Problem, dotted
from furrow.strategies.spellings import Body

CONFIG: Path = ("components", "fine_tuner", "config")
ARGUMENTS: Path = (*CONFIG, "training_args")
OPTIMIZATION: Path = (*CONFIG, "hardware", "optimization")

SHORT_FORMS: dict[str, Path] = {
    **{name: (*CONFIG, name) for name in ("base_model", "hardware", "method", "objective", "training_args")},
    "optimization": OPTIMIZATION,
}
"""Blocks of the fine-tuner that may stand in the strategy itself (and in `--set`)."""


def short(path: Path) -> Path:
    """`components.fine_tuner.config.method.r` is also said `method.r`."""
    for name, target in SHORT_FORMS.items():
        if path[: len(target)] == target and name != "optimization":
            return (name, *path[len(target) :])
    return path


def full(path: Path) -> Path:
    """The path of what is said in a short form, or at a place that it is moved from."""
    first = path[0]
    long = (*SHORT_FORMS.get(str(first), (first,)), *path[1:])
    return MOVED.get(long) or REWORDED.get(long, (long, None))[0]


MOVED: dict[Path, Path] = {
    (*ARGUMENTS, "eval_split"): ("dataset", "eval_split"),
    **{
        (*ARGUMENTS, name): ("generation", name)
        for name in ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty")
    },
    (*ARGUMENTS, "max_length"): ("data_preprocessing", "max_length"),
    (*ARGUMENTS, "max_seq_length"): ("data_preprocessing", "max_length"),
    ("generation", "max_length"): ("data_preprocessing", "max_length"),
    (*ARGUMENTS, "evaluation_strategy"): (*ARGUMENTS, "eval_strategy"),
    (*ARGUMENTS, "gradient_checkpointing"): (*OPTIMIZATION, "gradient_checkpointing"),
    (*ARGUMENTS, "tf32"): (*CONFIG, "hardware", "precision", "cuda", "use_tf32"),
    (*OPTIMIZATION, "gradient_accumulation_steps"): (*ARGUMENTS, "gradient_accumulation_steps"),
    (*ARGUMENTS, "early_stopping_patience"): (*ARGUMENTS, "early_stopping", "patience"),
    (*ARGUMENTS, "early_stopping_threshold"): (*ARGUMENTS, "early_stopping", "threshold"),
    (*ARGUMENTS, "project"): ("monitoring", "project"),
    (*ARGUMENTS, "run_name"): ("monitoring", "run_name"),
    ("monitoring", "project_name"): ("monitoring", "project"),
}
"""As written -> where it belongs. Where both are given, the one that belongs there wins, with a warning."""

Reading = Callable[[Any], Any]


def _one_flag(word: str) -> Reading:
    return lambda value: word if value is True else None


def _trackers(value: Any) -> Any:
    """transformers takes a name or a list of them, and calls one of them by its package."""
    wanted = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in wanted) or wanted in ([], ["none"], ["all"]):
        return None
    return ["comet" if name == "comet_ml" else name for name in wanted]


REWORDED: dict[Path, tuple[Path, Reading]] = {
    (*ARGUMENTS, "bf16"): ((*OPTIMIZATION, "mixed_precision"), _one_flag("bf16")),
    (*ARGUMENTS, "fp16"): ((*OPTIMIZATION, "mixed_precision"), _one_flag("fp16")),
    (*ARGUMENTS, "use_cpu"): ((*CONFIG, "hardware", "device"), _one_flag("cpu")),
    (*ARGUMENTS, "no_cuda"): ((*CONFIG, "hardware", "device"), _one_flag("cpu")),
    (*ARGUMENTS, "report_to"): (("monitoring", "trackers"), _trackers),
    ("monitoring", "report_to"): (("monitoring", "trackers"), _trackers),
    ("monitoring", "experiment_tracker"): (("monitoring", "trackers"), _trackers),
}
"""The same, where the value is said in other words; a reading that gives None leaves the default."""


def settle(body: Body, problems: list[Problem]) -> list[Event]:
    """Puts every key of the body where it belongs, in place; returns what there is to say about it."""
    events: list[Event] = []
    for name, target in SHORT_FORMS.items():
        if name in body.data:
            events += _expand(body, (name,), target, problems)
    events += _open_early_stopping(body)
    for source, target in MOVED.items():
        events += _move(body, source, target, problems)
    events += _settle_precision(body, problems)
    for source, (target, reading) in REWORDED.items():
        events += _reword(body, source, target, reading, problems)
    _ignore_ellipsis(body, events)
    return events


def _expand(body: Body, source: Path, target: Path, problems: list[Problem]) -> Iterator[Event]:
    if _get(body.data, target) is not None:
        what = f"given twice, here and in line {body.place(target).line} as {dotted(target)}"
        problems.append(Problem(body.place(source), body.written(source), what))
        _take(body, source)
    elif not _put(body, source, target):
        _take(body, source)  # something above the target is no mapping, and verification says so
    elif body.place(target).line is not None:  # in `--set`, the short form is usual
        yield Noted(message=f"{body.place(target)}: {dotted(source)} is taken as {dotted(target)}")


def _move(body: Body, source: Path, target: Path, problems: list[Problem]) -> Iterator[Event]:
    value = _get(body.data, source)
    if value is None:
        return
    place, written = body.place(source), body.written(source)
    theirs = _get(body.data, target)
    if theirs is not None:
        _take(body, source)
        yield Warned(
            message=f"{place}: {dotted(written)} ({_short(value)}) has no effect: {dotted(body.written(target))} is "
            f"{_short(theirs)}, and wins",
            remedy="give only one of them",
        )
    elif _put(body, source, target):
        yield Noted(message=f"{place}: {dotted(written)} is taken as {dotted(target)}")
    else:
        problems.append(
            Problem(place, written, f"belongs to {dotted(target)}, but {dotted(target[:-1])} is no mapping")
        )


def _reword(body: Body, source: Path, target: Path, reading: Reading, problems: list[Problem]) -> Iterator[Event]:
    value = _get(body.data, source)
    if value is None:
        return
    meant = reading(value)
    if meant is None and value is not False and value not in ("none", [], ["none"]):
        what = f"{_short(value)} is not known here; say it as {dotted(target)}"
        problems.append(Problem(body.place(source), body.written(source), what))
        _take(body, source)
    elif meant is None:
        place, written = body.place(source), body.written(source)
        _take(body, source)
        yield Noted(message=f"{place}: {dotted(written)}: {_short(value)} is what happens anyway")
    else:
        _parent(body.data, source)[source[-1]] = meant
        yield from _move(body, source, target, problems)


def _settle_precision(body: Body, problems: list[Problem]) -> Iterator[Event]:
    """`bf16: false` and `fp16: false` together mean float32. One of them alone says only what is not wanted, and the
    default takes either type where the hardware has it."""
    flags = {word: (*ARGUMENTS, word) for word in ("bf16", "fp16")}
    denied = {word: path for word, path in flags.items() if _get(body.data, path) is False}
    target: Path = (*OPTIMIZATION, "mixed_precision")
    chosen = _get(body.data, target)
    if len(denied) == 2 and chosen is None:
        _parent(body.data, flags["bf16"])["bf16"] = "no"
        yield from _move(body, flags["bf16"], target, problems)
        return
    for word, path in denied.items():
        is_other_wanted = any(_get(body.data, flag) is True for flag in flags.values())
        if chosen in ("auto", word) or (chosen is None and not is_other_wanted):
            what = f"false leaves open what is taken instead; say {dotted(target)}: no, or the type that is wanted"
            problems.append(Problem(body.place(path), body.written(path), what))
            _take(body, path)


def _open_early_stopping(body: Body) -> Iterator[Event]:
    """Guides write `early_stopping: true` with its settings beside it: they go into it, or nowhere if it is false."""
    path: Path = (*ARGUMENTS, "early_stopping")
    if _get(body.data, path) is True:
        _parent(body.data, path)[path[-1]] = {}
    beside = [source for source, target in MOVED.items() if target[:-1] == path and _get(body.data, source) is not None]
    for source in beside if _get(body.data, path) is False else ():
        place, written = body.place(source), body.written(source)
        _take(body, source)
        yield Noted(message=f"{place}: {dotted(written)} has no effect: early_stopping is false")


def _ignore_ellipsis(body: Body, events: list[Event]) -> None:
    """Guides write `format: "..."` for 'your text here'."""
    path: Path = ("prompt_template", "format")
    if _get(body.data, path) in ("...", "…"):
        place = body.place(path)
        _take(body, path)
        events.append(
            Warned(
                message=f"{place}: prompt_template.format is only dots, and has no effect",
                remedy="write the text of a row, with {input} and {output} in it",
            )
        )


def _get(data: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(data, dict) or step not in data:
            return None
        data = data[step]
    return data


def _parent(data: dict[str, Any], path: Path) -> dict[Any, Any]:
    return _get(data, path[:-1])


def _take(body: Body, path: Path) -> Any:
    return _parent(body.data, path).pop(path[-1])


def _put(body: Body, source: Path, target: Path) -> bool:
    """Moves a subtree with its places; False where a step on the way is no mapping."""
    at: Any = body.data
    for step in target[:-1]:
        if at.get(step) is None:
            at[step] = {}
        at = at[step]
        if not isinstance(at, dict):
            return False
    at[target[-1]] = _take(body, source)
    length = len(source)
    for path in [path for path in body.places if path[:length] == source]:
        place = body.places.pop(path)
        body.places[(*target, *path[length:])] = replace(place)
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
