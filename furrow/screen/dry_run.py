"""What `train --dry-run` shows: rows as the model will see them, what is learned told apart."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.text import Text

from furrow.screen.console import console
from furrow.screen.text import one_line, printable
from furrow.stages.data.shown import Shown

LEARNED, GIVEN = "bold green", "dim"


def show_rows(rows: Sequence[Shown], *, as_json: bool) -> None:
    """Learned text is green; without colour it stands between ⟦ and ⟧."""
    if as_json:
        for row in rows:
            role = {"role": row.role} if row.role else {}
            click.echo(json.dumps({"event": "row", "where": row.where, **role, "tokens": row.tokens}))
        return
    screen = console()
    coloured = screen.is_terminal and not screen.no_color
    for row in rows:
        learned = sum(is_learned for _, is_learned in row.tokens)
        place = one_line(row.where) + (f", {row.role}" if row.role else "")
        screen.print(Text(f"\n{place}: {len(row.tokens)} tokens, {learned} learned", "bold"))
        screen.print(_coloured(row.tokens) if coloured else _bracketed(row.tokens))
    screen.print(Text.assemble("\n", ("learned", LEARNED), ("  given", GIVEN)) if coloured else "\n⟦learned⟧ given")


def _coloured(tokens: Sequence[tuple[str, bool]]) -> Text:
    text = Text()
    for token, is_learned in tokens:
        text.append(printable(token), LEARNED if is_learned else GIVEN)
    return text


def _bracketed(tokens: Sequence[tuple[str, bool]]) -> Text:
    text, open_ = "", False
    for token, is_learned in tokens:
        if is_learned != open_:
            text += "⟦" if is_learned else "⟧"
            open_ = is_learned
        text += printable(token)
    return Text(text + ("⟧" if open_ else ""))
