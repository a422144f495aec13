"""Options that several commands have, and the strategy that they make."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from furrow.components.errors import FurrowError

PATH = click.Path(path_type=Path)
STRATEGY = click.option("--strategy", "name", required=True, metavar="NAME", help="Name of the strategy.")
STRATEGY_FILE = click.option(
    "--strategy-file", "file", type=PATH, metavar="FILE", help="Where it stands; without it, among those that ship."
)
TRAIN_DATASET = click.option("--train-dataset", type=PATH, metavar="F", help="Instead of dataset.train_file.")
EVAL_DATASET = click.option("--eval-dataset", type=PATH, metavar="F", help="Instead of dataset.eval_file.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace what an earlier call made there.")
SET = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a key: training_args.learning_rate=1e-4"
)


class NamesRowsByOption(click.Command):
    """A command without arguments, to which a file of rows may well be given as one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            hint = "Rows to learn are named with --train-dataset FILE."
            raise click.UsageError(f"{error.message}\n{hint}", ctx) from error


_OPTIONS = {
    "dataset.train_file": "--train-dataset",
    "dataset.eval_file": "--eval-dataset",
    "dataset.splitter.type": "--splitter",
    "dataset.splitter": "--splitter",
}
"""Key -> the option that is short for it, where that has another name."""


def option_of(key: str) -> str:
    """The option that is short for a key."""
    return _OPTIONS.get(key) or "--" + key.rpartition(".")[2].replace("_", "-")


def load_strategy(
    name: str | None,
    file: Path | None,
    overrides: Sequence[str],
    given: Mapping[str, Any],
    called: Mapping[str, str] | None = None,
) -> Any:
    """The strategy with --set and the options that are short for it; an option beats a --set of the same key. Without
    a name: every default, for who asks only about data. `called`: what errors call a key, where that is no option."""
    from furrow.strategies.errors import StrategyErrors
    from furrow.strategies.files import load, without_strategy

    more = [
        f"{key}={json.dumps(str(value) if isinstance(value, Path) else value)}"
        for key, value in given.items()
        if value is not None
    ]
    try:
        if name is None:
            return without_strategy([*overrides, *more])
        return load(name, file, [*overrides, *more])
    except StrategyErrors as error:
        options = {key: (called or {}).get(key) or option_of(key) for key in given}
        raise StrategyErrors(_as_typed(problem, given, options) for problem in error.problems) from error


def _as_typed(problem: Any, given: Mapping[str, Any], options: Mapping[str, str]) -> Any:
    """The problem, in the words of the options where one of them made it."""
    from furrow.strategies.errors import Place, dotted

    set_to = problem.place.source.removeprefix("--set ").partition("=")[0]
    if problem.place.source.startswith("--set ") and given.get(set_to) is not None:
        path = dotted(problem.path)
        named = () if path == set_to else (options[path],) if path in options else problem.path
        place = Place(f"{options[set_to]} {given[set_to]}", None, ())
        return replace(problem, place=place, path=named)
    return problem


@contextlib.contextmanager
def in_options(keys: Sequence[str]) -> Iterator[None]:
    """Errors name the options of a command instead of these keys, which nobody wrote."""
    names = {key: option_of(key) for key in sorted(keys, key=len, reverse=True)}

    def said(text: str | None) -> str | None:
        for key, option in names.items():
            text = text and text.replace(key, option)
        return text

    try:
        yield
    except FurrowError as error:
        raise type(error)(said(error.what) or "", where=said(error.where), remedy=said(error.remedy)) from error


def say(text: str) -> None:
    """One line of ours, whatever path or name is in it."""
    from furrow.screen.text import one_line

    click.echo(one_line(text))
