"""What there is to say about a strategy that is valid: settings that change nothing, or that another one overrules."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

from furrow.components.config import Config, NoEffect
from furrow.components.events import Event, Noted, Warned
from furrow.components.models.served import WRITERS
from furrow.strategies.errors import Path, Problem, dotted
from furrow.strategies.keys import keys_at
from furrow.strategies.moved_keys import CONFIG, short
from furrow.strategies.schema import TEMPLATE, Strategy
from furrow.strategies.spellings import Body

EXPORTERS = {"to_merged": "merged", "to_gguf": "gguf", "to_gguf_adapter": "gguf-adapter", "to_ollama": "ollama"}
"""Key of the block `export` -> exporter."""
SCORERS = ("classification", "reward")
"""Objectives that make a model which scores texts instead of writing them."""


def notes(strategy: Strategy, body: Body) -> Iterator[Event]:
    """Events in the order of the blocks."""
    for path, why in _without_effect(strategy.fine_tuner.config, CONFIG):
        yield Noted(message=f"{body.place(path)}: {dotted(body.written(path))} has no effect: {why}")
    tuner: Any = strategy.fine_tuner.config
    objective: Any = getattr(tuner, "objective", None)
    splitter = strategy.dataset.splitter.config if strategy.dataset.is_split else None
    yield from _idle(strategy, [tuner, getattr(tuner, "method", None), objective, splitter], body)
    yield from _about_evaluation(strategy, body)
    yield from _about_mix(strategy, body)
    yield from _about_steps(strategy, body)
    is_plain = strategy.prompt_template == TEMPLATE.wire({})
    if getattr(objective, "type", None) == "pretrain" and not is_plain:
        yield Noted(
            message=f"{body.place(('prompt_template',))}: prompt_template does not shape the training rows: the "
            "objective is pretrain, which learns the column `text` as it is"
        )
    if getattr(objective, "type", None) == "classification" and objective.text == "plain" and not is_plain:
        yield Warned(
            message=f"{body.place(('prompt_template',))}: prompt_template does not shape the rows of this classifier",
            remedy="set objective.text to template, or leave the template out",
        )


def left_behind(below: Body, above: Body) -> Iterator[Event]:
    """Settings of a component that are lost because what is laid over it names another `type`, which has them too."""
    for path, old, new, lost in _of_other_types(below.data, above.data, ()):
        if lost:
            listed = ", ".join(lost)
            yield Noted(
                message=f"{above.place(path)}: {dotted(short(path))} is {new} instead of {old}: {listed} of {old} are "
                f"left behind, and {new} has its own defaults; give them too to keep them"
            )


def _of_other_types(below: Any, above: Any, path: tuple[str, ...]) -> Iterator[tuple[Path, str, str, list[str]]]:
    """(path, type below, type above, keys that both types have and only the one below is given)."""
    if not isinstance(below, dict):
        return
    over = {"type": above} if isinstance(above, str) else above if isinstance(above, dict) else {}
    old, new = below.get("type"), over.get("type")
    if isinstance(old, str) and isinstance(new, str) and old != new:
        inner = "config" in below or "config" in over
        at = (*path, "config") if inner else path
        given, anew = (each.get("config") or {} if inner else each for each in (below, over))
        known = {key.name for key in keys_at(at, new) if key.variant == new} - {"type"}
        yield path, old, new, [name for name in given if name in known and name not in anew]
        return
    for key, value in over.items():
        yield from _of_other_types(below.get(key), value, (*path, key))


def contradictions(strategy: Strategy, body: Body) -> list[Problem]:
    """What each block allows by itself and the strategy as a whole does not."""
    refused: dict[str, str] = {}
    for name in ("method", "objective"):
        settings: Any = getattr(strategy.fine_tuner.config, name, None)
        refused |= settings.not_exported() if hasattr(settings, "not_exported") else {}
    objective = getattr(getattr(strategy.fine_tuner.config, "objective", None), "type", None)
    problems = []
    if strategy.model_app.type in WRITERS and objective in SCORERS:
        app: Path = ("components", "model_app", "type")
        what = f"{strategy.model_app.type} serves models that write text, and objective {objective} makes one that "
        problems.append(Problem(body.place(app), app, f"{what}scores it; use transformers"))
    problems += _contradictions_of_mix(strategy, body)
    asked = (("export", key) for key in EXPORTERS if getattr(strategy.export, key))
    return problems + [
        Problem(body.place(path), path, refused[EXPORTERS[path[1]]]) for path in asked if EXPORTERS[path[1]] in refused
    ]


def _contradictions_of_mix(strategy: Strategy, body: Body) -> Iterator[Problem]:
    dataset, path = strategy.dataset, ("dataset", "mix")
    if len(dataset.mix) == 1:
        what = "one set is no mix; name it as dataset.train_file, or add another: [{file: …, weight: …}, …]"
        yield Problem(body.place(path), path, what)
    if dataset.mix and dataset.train_file is not None:
        at = ("dataset", "train_file")
        what = f"dataset.mix ({body.place(path)}) says too what is learned; make this file an entry of it, and say "
        what += "train_file: null"
        yield Problem(body.place(at), at, what)


def _without_effect(config: Any, path: Path) -> Iterator[tuple[Path, str]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Config):
            yield from _without_effect(value, (*path, name))
        for mark in field.metadata:
            if isinstance(mark, NoEffect) and value is not None:
                yield (*path, name), mark.why


def _idle(strategy: Strategy, blocks: Sequence[Any], body: Body) -> Iterator[Event]:
    """Keys of other blocks that these blocks make no use of, where they differ from their defaults."""
    for key, why in ((key, why) for block in blocks for key, why in getattr(block, "idle", {}).items()):
        path = tuple(key.split("."))
        if _is_given(functools.reduce(getattr, path[:-1], strategy), path[-1]):
            yield Noted(message=f"{body.place(path)}: {dotted(body.written(path))} has no effect: {why}")


def _about_evaluation(strategy: Strategy, body: Body) -> Iterator[Event]:
    dataset = strategy.dataset
    if dataset.eval_file is not None and dataset.eval_split:
        path = ("dataset", "eval_split")
        yield Noted(message=f"{body.place(path)}: {dotted(path)} has no effect: there is an eval_file")
    arguments = getattr(strategy.fine_tuner.config, "training_args", None)
    wanted = getattr(arguments, "eval_strategy", "no")
    if dataset.splitter.type != "random" and not dataset.is_split:
        path = ("dataset", "splitter")
        why = "there is an eval_file" if dataset.eval_file is not None else "eval_split is 0"
        yield Noted(message=f"{body.place(path)}: {dotted(path)} has no effect: {why}")
    if wanted != "no" and dataset.eval_file is None and not dataset.is_split:
        path = ("dataset", "eval_split")
        yield Warned(
            message=f"{body.place(path)}: eval_strategy is {wanted}, but eval_split is 0 and there is no eval_file: "
            "nothing to evaluate on",
            remedy="give dataset.eval_file (or --eval-dataset), or an eval_split such as 0.1",
        )


def _about_mix(strategy: Strategy, body: Body) -> Iterator[Event]:
    if not strategy.dataset.mix and _is_given(strategy.dataset, "stopping_strategy"):
        path: Path = ("dataset", "stopping_strategy")
        yield Noted(message=f"{body.place(path)}: {dotted(path)} has no effect: there is no mix")
    for number, source in enumerate(strategy.dataset.mix):
        if source.template is not None and source.template != strategy.prompt_template:
            path = ("dataset", "mix", number, "template")
            yield Noted(
                message=f"{body.place(path)}: rows of {source.file} are learned with a template of their own; the "
                f"trained model is asked with prompt_template ({strategy.prompt_template.type})"
            )


def _about_steps(strategy: Strategy, body: Body) -> Iterator[Event]:
    arguments: Any = getattr(strategy.fine_tuner.config, "training_args", None)
    for name, why in arguments.without_effect() if hasattr(arguments, "without_effect") else ():
        path = (*CONFIG, "training_args", name)
        yield Warned(message=f"{body.place(path)}: {name} has no effect: {why}", remedy="leave it out")
    for name, when in (("eval_steps", "eval_strategy"), ("save_steps", "save_strategy")):
        path, chosen = (*CONFIG, "training_args", name), getattr(arguments, when, "steps")
        if chosen != "steps" and _is_given(arguments, name):
            yield Noted(message=f"{body.place(path)}: {name} has no effect: {when} is {chosen}")
    pairs = (("warmup_steps", "warmup_ratio"), ("max_steps", "num_train_epochs"))
    for winner, loser in pairs:
        path = (*CONFIG, "training_args", loser)
        value = getattr(arguments, winner, None) or 0
        together = _layer(body, (*path[:-1], winner)) == _layer(body, path)  # else one is laid over the other
        if value > 0 and _is_given(arguments, loser) and together:
            yield Warned(
                message=f"{body.place(path)}: {loser} has no effect: {winner} is {value}, and wins",
                remedy="give only one of them",
            )


def _layer(body: Body, path: Path) -> str:
    """The file that the path was written in; all of `--set` is one."""
    source = body.place(path).source
    return "--set" if source.startswith("--set ") else source


def _is_given(settings: Any, name: str) -> bool:
    """Whether the setting is there and differs from its default; a fine-tuner of another package may have others."""
    field = getattr(type(settings), "model_fields", {}).get(name)
    return field is not None and getattr(settings, name) != field.default
