"""Tables for people, one JSON object a line for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.table import Table
from rich.text import Text

from furrow.components.errors import FurrowError
from furrow.components.registry import SLOTS, claims, find
from furrow.screen.console import console
from furrow.screen.text import one_line
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


def show_split(result: SplitResult, *, as_json: bool) -> None:
    """How many rows went where."""
    if as_json:
        paths = {"train_file": str(result.train_file), "eval_file": str(result.eval_file)}
        click.echo(json.dumps({**paths, "train_rows": result.train_rows, "eval_rows": result.eval_rows}))
        return
    click.echo(one_line(f"{result.train_rows} rows: {result.train_file}"))
    click.echo(one_line(f"{result.eval_rows} rows: {result.eval_file}"))


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
