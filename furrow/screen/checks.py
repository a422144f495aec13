"""The answers of `setup`: one table, or one JSON object a line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable

import click
from rich.table import Table
from rich.text import Text

from furrow.components.checks import Check
from furrow.screen.console import console
from furrow.screen.text import message, one_line

STYLES = {"passed": "green", "warning": "yellow", "failed": "bold red"}


def show_checks(checks: Iterable[Check], *, as_json: bool) -> int:
    """Prints every answer; returns the exit code: 0 only if nothing failed."""
    checks = list(checks)
    if as_json:
        for check in checks:
            click.echo(json.dumps(dataclasses.asdict(check)))
    elif console().is_terminal:
        _table(checks)
    else:
        for check in checks:
            click.echo(f"{check.status:8}" + one_line(f"{check.name}: {check.found}{_then(check.remedy)}"))
    failed = sum(check.status == "failed" for check in checks)
    if not as_json:
        warned = sum(check.status == "warning" for check in checks)
        click.echo(f"{len(checks) - failed - warned} passed, {warned} warnings, {failed} failed")
    return 1 if failed else 0


def ask(yes: bool) -> Callable[[str], bool]:
    """How a stage asks before something large: the answer is yes with --yes, and no where nobody can be asked."""

    def answer(question: str) -> bool:
        if yes:
            return True
        return console().is_terminal and click.confirm(one_line(question))

    return answer


def _table(checks: Iterable[Check]) -> None:
    table = Table("", "check", "found", "what to do")
    for check in checks:
        cells = (check.name, check.found, check.remedy)
        table.add_row(Text(check.status, STYLES[check.status]), *(Text(message(cell)) for cell in cells))
    console().print(table)


def _then(remedy: str) -> str:
    return f"  -> {remedy}" if remedy else ""
