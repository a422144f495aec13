"""The commands of `furrow data`: what a strategy would learn, looked at before the first step."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from furrow.cli_options import (
    EVAL_DATASET,
    JSON,
    OVERWRITE,
    PATH,
    SET,
    STRATEGY,
    STRATEGY_FILE,
    TRAIN_DATASET,
    load_strategy,
    say,
)

MAYBE_STRATEGY = click.option(
    "--strategy", "name", metavar="NAME", help="Name of the strategy. Without it every setting has its default."
)
HTML = click.option("--html", type=PATH, metavar="FILE.html", help="Also write a page for the browser.")
Command = Callable[..., None]


@click.group()
def data() -> None:
    """Look at rows, clean them, and see them as the model will.

    \b
    furrow data inspect rows.jsonl                    what is wrong with these rows?
    furrow data inspect --strategy NAME --html x.html the same, and how they fit model and template
    furrow data clean --strategy NAME                 write the rows that are kept, and those that are not
    furrow data preview --strategy NAME               which tokens are learned?
    furrow data cache --clear                         remove what is kept for the next run
    """


def _of_data(strategy: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """The options that say which rows and how: `command` gets the strategy as `loaded` instead of them."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def called(
            train_file: Path | None,
            name: str | None,
            file: Path | None,
            train_dataset: Path | None,
            eval_dataset: Path | None,
            overrides: tuple[str, ...],
            **rest: Any,
        ) -> None:
            if train_file is not None and train_dataset is not None:
                raise click.UsageError("FILE and --train-dataset are two names of one thing: one of them is wanted")
            if file is not None and name is None:
                raise click.UsageError("--strategy-file wants --strategy: which one of it is meant?")
            given = {"dataset.train_file": train_file or train_dataset, "dataset.eval_file": eval_dataset}
            called = {"dataset.train_file": "FILE"} if train_file is not None else {}
            command(loaded=load_strategy(name, file, overrides, given, called), **rest)

        made: Command = called
        for option in (SET, EVAL_DATASET, TRAIN_DATASET, STRATEGY_FILE, strategy):
            made = option(made)
        return click.argument("train_file", metavar="[FILE]", type=PATH, required=False)(made)

    return decorate


@data.command()
@_of_data(MAYBE_STRATEGY)
@HTML
@JSON
def inspect(loaded: Any, html: Path | None, as_json: bool) -> None:
    """Report what is wrong with the rows of a strategy, or of FILE.

    Exit code 1 where something cannot be meant, and `train` would stop: learned rows among those that are evaluated
    on, most answers cut, nothing to learn. 0 with everything else that is found.
    """
    from furrow.screen.data import listening, refuse_other_ending

    refuse_other_ending(html)
    with listening(loaded, as_json=as_json) as emit:
        from furrow.stages.inspect_data import inspect as look

        inspection = look(loaded, emit)
    from furrow.screen.inspection import show_inspection
    from furrow.stages.reporting.data_page import write_inspection

    show_inspection(inspection, as_json=as_json)
    if html is not None:
        write_inspection(inspection, html)
        if not as_json:
            say(f"written: {html}")
    sys.exit(1 if inspection.errors else 0)


@data.command()
@_of_data(MAYBE_STRATEGY)
@click.option("--output", type=PATH, metavar="FILE", help="Default: <stem>_clean.jsonl beside the input.")
@OVERWRITE
@JSON
def clean(loaded: Any, output: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write the rows that data_preprocessing keeps, and beside them <stem>_dropped.jsonl with the others and why.

    Where the strategy says nothing of filter_quality or remove_duplicates, broken rows and equal ones are dropped.
    """
    from furrow.screen.data import listening, show_cleaned

    with listening(loaded, as_json=as_json) as emit:
        from furrow.stages.clean import clean as run_cleaning

        cleaned = run_cleaning(loaded, output, overwrite, emit)
    show_cleaned(cleaned, as_json=as_json)


@data.command()
@_of_data(STRATEGY)
@click.option(
    "--row", "asked", multiple=True, metavar="N|FILE:LINE", help="This row: its number, from 1 on, or its place."
)
@click.option("--count", type=click.IntRange(1, 1000), default=3, show_default=True, help="Rows, without --row.")
@click.option("--side", type=click.Choice(["train", "eval"]), default="train", show_default=True)
@HTML
@JSON
def preview(loaded: Any, asked: tuple[str, ...], count: int, side: Any, html: Path | None, as_json: bool) -> None:
    """Show rows token by token: learned, given, special, and cut away."""
    from furrow.screen.data import listening, refuse_other_ending

    refuse_other_ending(html)
    with listening(loaded, as_json=as_json) as emit:
        from furrow.stages.preview import preview as look

        seen = look(loaded, emit, asked=asked, count=count, side=side)
    from furrow.screen.preview import show_rows
    from furrow.stages.reporting.preview_page import write_preview

    show_rows(seen.rows, as_json=as_json)
    if html is not None:
        write_preview(seen, loaded.strategy.title, html)
        if not as_json:
            say(f"written: {html}")


@data.command("cache")
@click.option("--clear", is_flag=True, help="Remove all that no run uses at the moment.")
@click.option("--cache-dir", metavar="D", help="Instead of furrow in the user's cache folder, as dataset.cache_dir.")
@JSON
def cache_command(clear: bool, cache_dir: str | None, as_json: bool) -> None:
    """List prepared data that is kept for the next run, or remove it.

    What is older than `dataset.cache_gb` allows for goes by itself.
    """
    from furrow.screen.cache import show_cache, show_cleared
    from furrow.stages.data.cache import Cache, cache_folder

    folder = cache_folder(cache_dir)
    cache = Cache(folder, limit=0)
    if clear:
        show_cleared(*cache.clear(), as_json=as_json)
    else:
        show_cache(folder, cache.entries(), as_json=as_json)
