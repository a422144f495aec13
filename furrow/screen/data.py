"""What the commands of `furrow data` share on the screen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from furrow.components.errors import RequestError
from furrow.components.events import Emit
from furrow.components.plural import plural
from furrow.screen.console import console
from furrow.screen.quiet import quieten_libraries
from furrow.screen.subscribers import showing
from furrow.screen.text import one_line

if TYPE_CHECKING:
    from furrow.stages.clean import Cleaned

ENDINGS = (".html", ".htm")


def refuse_other_ending(html: Path | None) -> None:
    """The page replaces what is there: `--html rows.jsonl` must not."""
    if html is not None and html.suffix.lower() not in ENDINGS:
        raise RequestError(f"{html} is no name of a page", where="--html", remedy="give one that ends with .html")


@contextmanager
def listening(loaded: Any, *, as_json: bool) -> Iterator[Emit]:
    """Shows what happens, the notes on the strategy first."""
    quieten_libraries()
    with showing(console(), as_json=as_json) as emit:
        for note in loaded.notes:
            emit(note)
        yield emit


def show_cleaned(cleaned: Cleaned, *, as_json: bool) -> None:
    """How many rows are left, where they are, and by which rule the others went."""
    if as_json:
        click.echo(json.dumps({"event": "cleaned", **dataclasses.asdict(cleaned)}, default=str))
        return
    click.echo(one_line(f"{cleaned.kept:,} of {plural(cleaned.read, 'row')} kept: {cleaned.clean_file}"))
    told = [f"{rows:,} by {rule}" for rule, rows in sorted(cleaned.dropped.items(), key=lambda each: -each[1])]
    if told:
        click.echo(one_line(f"dropped, each with its reason: {', '.join(told)}: {cleaned.dropped_file}"))
    else:
        click.echo("nothing was dropped, so that there is no list of it")
