"""Answers as they come."""

from __future__ import annotations

import json

import click

from furrow.screen.text import printable
from furrow.stages.complete import Answerer


def show_answer(label: str, answerer: Answerer, prompt: str, *, as_json: bool, labelled: bool) -> None:
    """Streams one answer; with `labelled`, under the name of who gave it. JSON: a line a piece, then the whole."""
    if labelled and not as_json:
        click.secho(f"{label}:", bold=True)
    pieces = []
    for piece in answerer.answer([{"role": "user", "content": prompt}]):
        pieces.append(piece)
        if as_json:
            click.echo(json.dumps({"event": "answer_piece", "model": label, "text": piece}))
        else:
            click.echo(printable(piece), nl=False)
    if as_json:
        click.echo(json.dumps({"event": "answered", "model": label, "text": "".join(pieces).strip()}))
    else:
        click.echo()
