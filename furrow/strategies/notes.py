"""What there is to say about a strategy that is valid: settings that change nothing, or that another one overrules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from furrow.components.config import Config, NoEffect
from furrow.components.events import Event, Noted, Warned
from furrow.strategies.errors import Path, Problem, dotted
from furrow.strategies.moved_keys import CONFIG
from furrow.strategies.schema import TEMPLATE, Strategy
from furrow.strategies.spellings import Body

EXPORTERS = {"to_merged": "merged", "to_gguf": "gguf", "to_gguf_adapter": "gguf-adapter", "to_ollama": "ollama"}
"""Key of the block `export` -> exporter."""


def notes(strategy: Strategy, body: Body) -> Iterator[Event]:
    """Events in the order of the blocks."""
    for path, why in _without_effect(strategy.fine_tuner.config, CONFIG):
        yield Noted(message=f"{body.place(path)}: {dotted(body.written(path))} has no effect: {why}")
    yield from _about_evaluation(strategy, body)
    yield from _about_steps(strategy, body)
    objective: Any = getattr(strategy.fine_tuner.config, "objective", None)
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


def contradictions(strategy: Strategy, body: Body) -> list[Problem]:
    """What each block allows by itself and the strategy as a whole does not."""
    refused: dict[str, str] = {}
    for name in ("method", "objective"):
        settings: Any = getattr(strategy.fine_tuner.config, name, None)
        refused |= settings.not_exported() if hasattr(settings, "not_exported") else {}
    asked = (("export", key) for key in EXPORTERS if getattr(strategy.export, key))
    return [
        Problem(body.place(path), path, refused[EXPORTERS[path[1]]]) for path in asked if EXPORTERS[path[1]] in refused
    ]


def _without_effect(config: Any, path: Path) -> Iterator[tuple[Path, str]]:
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, Config):
            yield from _without_effect(value, (*path, name))
        for mark in field.metadata:
            if isinstance(mark, NoEffect) and value is not None:
                yield (*path, name), mark.why


def _about_evaluation(strategy: Strategy, body: Body) -> Iterator[Event]:
    dataset = strategy.dataset
    if dataset.eval_file is not None and dataset.eval_split:
        path = ("dataset", "eval_split")
        yield Noted(message=f"{body.place(path)}: {dotted(path)} has no effect: there is an eval_file")
    arguments = getattr(strategy.fine_tuner.config, "training_args", None)
    wanted = getattr(arguments, "eval_strategy", "no")
    if wanted != "no" and dataset.eval_file is None and not dataset.eval_split:
        path = ("dataset", "eval_split")
        yield Warned(
            message=f"{body.place(path)}: eval_strategy is {wanted}, but eval_split is 0 and there is no eval_file: "
            "nothing to evaluate on",
            remedy="give dataset.eval_file (or --eval-dataset), or an eval_split such as 0.1",
        )


def _about_steps(strategy: Strategy, body: Body) -> Iterator[Event]:
    if strategy.fine_tuner.type != "pytorch":
        return
    arguments: Any = strategy.fine_tuner.config.training_args  # type: ignore[attr-defined]
    for name, why in arguments.without_effect():
        path = (*CONFIG, "training_args", name)
        yield Warned(message=f"{body.place(path)}: {name} has no effect: {why}", remedy="leave it out")
    pairs = (("warmup_steps", "warmup_ratio"), ("max_steps", "num_train_epochs"))
    for winner, loser in pairs:
        path = (*CONFIG, "training_args", loser)
        default = type(arguments).model_fields[loser].default
        if getattr(arguments, winner) > 0 and getattr(arguments, loser) != default:
            value = getattr(arguments, winner)
            yield Warned(
                message=f"{body.place(path)}: {loser} has no effect: {winner} is {value}, and wins",
                remedy="give only one of them",
            )
