"""What `train --dry-run` shows: rows as the model will see them, what is learned told apart."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click
from rich.text import Text

from furrow.screen.console import console
from furrow.screen.text import printable
from furrow.stages.train import TrainingData

LEARNED, GIVEN = "bold green", "dim"


def show_rows(data: TrainingData, rows: Sequence[Sequence[tuple[str, bool]]], *, as_json: bool) -> None:
    """Learned text is green; without colour it stands between ⟦ and ⟧."""
    if as_json:
        for example, tokens in zip(data.train.examples, rows, strict=False):
            click.echo(json.dumps({"event": "row", "where": example.where, "tokens": tokens}))
        return
    screen = console()
    coloured = screen.is_terminal and not screen.no_color
    for example, tokens in zip(data.train.examples, rows, strict=False):
        learned = sum(is_learned for _, is_learned in tokens)
        screen.print(Text(f"\n{printable(example.where)}: {len(tokens)} tokens, {learned} learned", "bold"))
        screen.print(_coloured(tokens) if coloured else _bracketed(tokens))
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
