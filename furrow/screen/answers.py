"""Answers as they come."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from furrow.screen.text import one_line, printable
from furrow.stages.complete import Answerer

SHOWN = 5
"""Classes whose probability is shown; JSON has them all."""


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


def show_scores(scores: Mapping[str, float], *, as_json: bool) -> None:
    """The likeliest class, and below it the probabilities of the first few; of a reward model the score alone."""
    first, value = next(iter(scores.items()))
    text = first if len(scores) > 1 else f"{value:.4f}"
    if as_json:
        click.echo(json.dumps({"event": "answered", "model": "tuned", "text": text, "scores": dict(scores)}))
        return
    click.echo(one_line(text))
    if len(scores) > 1:
        for label, probability in list(scores.items())[:SHOWN]:
            click.echo(f"  {probability:7.2%}  {one_line(label)}")
