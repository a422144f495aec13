"""Rows as the model will see them, on the screen: what is learned, given, special and cut told apart."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence

import click
from rich.text import Text

from furrow.components.secrets import scrubbed_values
from furrow.screen.console import console
from furrow.screen.text import one_line, printable
from furrow.stages.data.shown import Hidden, Shown, Token, abridged

LEARNED, GIVEN, SPECIAL, CUT = "green", "", "magenta", "red strike"
MARKS = {LEARNED: "⟦⟧", CUT: "⟪⟫"}
"""Where there is no colour; special tokens can be told by their text."""


def show_rows(rows: Sequence[Shown], *, as_json: bool) -> None:
    """With colour every second token is underlined, so that one sees where they end."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(scrubbed_values(_record(row))))
        return
    screen = console()
    if not screen.is_terminal or screen.no_color:
        for row in rows:
            click.echo(f"\n{heading(row)}\n{''.join(_marked(row))}")
        click.echo("\n⟦learned⟧ given ⟪cut away⟫")
        return
    for row in rows:
        screen.print(Text(f"\n{heading(row)}", "bold"))
        screen.print(_coloured(row))
    screen.print(_LEGEND)


def heading(row: Shown) -> str:
    """Where the sequence comes from, and its tokens counted."""
    place = ", ".join(filter(None, (row.where, row.role)))
    told = [f"{row.seen:,} tokens", f"{row.learned:,} learned"]
    if row.cut:
        told.append(f"{row.cut:,} cut away")
    return one_line(f"{place}: {', '.join(told)}" + (f"; {row.note}" if row.note else ""))


def _record(row: Shown) -> dict[str, object]:
    tokens = [token._asdict() for token in row.tokens]
    more = {name: value for name, value in (("role", row.role), ("note", row.note)) if value}
    return {"event": "row", "where": row.where, **more, "tokens": tokens}


def _style(token: Token) -> str:
    if not token.kept:
        return CUT
    if token.special:
        return f"bold {SPECIAL}" if token.learned else SPECIAL
    return LEARNED if token.learned else GIVEN


def _coloured(row: Shown) -> Text:
    text, weight, number = Text(), 1.0, 0
    for piece in abridged(row.tokens):
        if isinstance(piece, Hidden):
            text.append(f" {piece} ", "dim italic")
            continue
        if piece.learned and piece.kept and piece.weight != weight:
            weight = piece.weight
            text.append(f" weight {weight:g}: ", "dim italic")
        number += bool(piece.text)
        text.append(printable(piece.text), f"{_style(piece)} {'' if number % 2 else 'underline'}".strip())
    return text


def _marked(row: Shown) -> Iterator[str]:
    """The text, with marks where it is learned or cut, and behind the first of them the weight that is not 1."""
    for (mark, weight), pieces in itertools.groupby(abridged(row.tokens), _mark):
        text = "".join(f" {piece} " if isinstance(piece, Hidden) else printable(piece.text) for piece in pieces)
        counts = "" if weight == 1 else f"×{weight:g} "
        yield f"{mark[:1]}{counts}{text}{mark[1:]}"


def _mark(piece: Token | Hidden) -> tuple[str, float]:
    if isinstance(piece, Hidden) or (piece.kept and not piece.learned):
        return "", 1.0
    return (MARKS[LEARNED], piece.weight) if piece.kept else (MARKS[CUT], 1.0)


_LEGEND = Text.assemble(
    "\n",
    ("learned", LEARNED),
    "  given  ",
    ("special", SPECIAL),
    "  ",
    ("special, learned", f"bold {SPECIAL}"),
    "  ",
    ("cut away", CUT),
    "  every second token is underlined",
)
