"""Tables for people, one JSON object a line for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from furrow.components.errors import FurrowError
from furrow.components.plural import plural
from furrow.components.registry import SLOTS, claims, find
from furrow.screen.console import console
from furrow.screen.text import one_line
from furrow.stages.folds import Folds
from furrow.stages.split import SplitResult
from furrow.strategies.files import Summary


def show_strategies(summaries: Sequence[Summary], *, as_json: bool) -> None:
    """Name, title and description."""
    if as_json:
        for each in summaries:
            click.echo(json.dumps({"name": each.key, "title": each.title, "description": each.description}))
        return
    rows = [(each.key, each.title, each.description) for each in summaries]
    _show(("strategy", "name", "description"), rows)


def show_components(*, as_json: bool) -> None:
    """Slot, type, package, and what it does. A plugin that cannot be loaded is listed with the reason."""
    rows = []
    for slot in SLOTS:
        for kind, claimed in claims(slot).items():
            try:
                summary = find(slot, kind).summary
            except FurrowError as error:
                summary = f"unusable: {error.what}"
            rows.append((slot, kind, ", ".join(claim.package for claim in claimed), summary))
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(("slot", "type", "package", "summary"), row, strict=True))))
        return
    _show(("slot", "type", "package", "summary"), rows)


def show_split(results: Sequence[SplitResult], *, as_json: bool) -> None:
    """How many rows went where."""
    for result in results:
        if as_json:
            said = {name: str(value) if isinstance(value, Path) else value for name, value in vars(result).items()}
            click.echo(json.dumps({name: value for name, value in said.items() if value is not None}))
            continue
        for note in result.notes:
            click.echo(one_line(f"note: {note}"), err=True)
        click.echo(one_line(f"{plural(result.train_rows, 'row')}: {result.train_file}"))
        click.echo(one_line(f"{plural(result.eval_rows, 'row')}: {result.eval_file}"))
        if result.left_out_file is not None:
            click.echo(one_line(f"{plural(result.left_out_rows, 'row')}: {result.left_out_file}"))


def show_folds(folds: Folds, *, as_json: bool) -> None:
    """What each fold measured, then the mean and the standard deviation."""
    figures = list(folds.mean)
    if as_json:
        for each in folds.runs:
            click.echo(json.dumps({"fold": each.fold, "run": str(each.run), "eval_rows": each.rows, **each.figures}))
        click.echo(json.dumps({"folds": folds.of, "missing": folds.missing, "mean": folds.mean, "sd": folds.deviation}))
        return
    rows = [
        (str(each.fold), str(each.run), str(each.rows), *(f"{each.figures[name]:.4f}" for name in figures))
        for each in folds.runs
    ]
    spread = [f"{folds.mean[name]:.4f} ± {folds.deviation[name]:.4f}" for name in figures]
    _show(("fold", "run", "rows", *figures), [*rows, ("all", f"{len(rows)} of {folds.of} folds", "", *spread)])
    if folds.missing:
        click.echo(f"note: missing are the folds {', '.join(map(str, folds.missing))}", err=True)


def _show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; in a pipe one line a row, so that it can be cut and searched."""
    screen = console()
    if not screen.is_terminal:
        for row in rows:
            click.echo("\t".join(one_line(cell) for cell in row))
        return
    table = Table(*head)
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    screen.print(table)
