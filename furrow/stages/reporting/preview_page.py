"""Rows token by token as an HTML page: learned, given, special and cut away, each with its id and weight."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from furrow.components.disk.publish import publish_text
from furrow.stages.data.shown import Hidden, Shown, Token, abridged
from furrow.stages.preview import Preview
from furrow.stages.reporting.markup import Html, document, element


def write_preview(seen: Preview, title: str, file: Path) -> None:
    """Publishes the page there."""
    publish_text(file, preview_page(seen, title))


def preview_page(seen: Preview, title: str) -> str:
    """The page; rows with two answers have them side by side."""
    counted = (
        f"{seen.train_rows:,} rows to learn, {seen.eval_rows:,} to evaluate on, at most {seen.max_length:,} tokens"
    )
    head = element(
        "header", element("h1", f"{title}: rows as the model sees them"), element("p", counted, class_="soft"), _LEGEND
    )
    rows = [_row(where, list(parts)) for where, parts in itertools.groupby(seen.rows, lambda each: each.where)]
    return document(f"{title}: preview", [head, *rows], STYLE)


def _row(where: str, sequences: Sequence[Shown]) -> Html:
    parts = [_sequence(each) for each in sequences]
    return element("section", element("h2", where), element("div", *parts, class_="parts"))


def _sequence(row: Shown) -> Html:
    figures = [f"{row.seen:,} tokens", f"{row.learned:,} learned"]
    if row.cut:
        figures.append(f"{row.cut:,} cut away")
    head = [element("h3", " · ".join(filter(None, (row.role, *figures))))]
    note = [element("p", row.note, class_="finding")] if row.note else []
    text = element("p", *_pieces(row.tokens), class_="tokens")
    return element("article", *head, *note, text, class_="card")


def _pieces(tokens: Sequence[Token]) -> list[Html]:
    made, weight = [], 1.0
    for piece in abridged(tokens):
        if isinstance(piece, Hidden):
            made.append(element("em", str(piece), class_="soft"))
            continue
        if piece.learned and piece.kept and piece.weight != weight:
            weight = piece.weight
            made.append(element("sup", f"×{weight:g}"))
        made.append(_token(piece))
    return made


def _token(token: Token) -> Html:
    """Its text, where a line ends with a sign for that; a part of a character is a box."""
    kinds = ["learned" if token.learned else "", "special" if token.special else "", "" if token.kept else "cut"]
    said = f"id {token.id}" + "".join(f", {kind}" for kind in kinds if kind)
    style = {}
    if token.learned and token.weight != 1:
        said += f", weight {token.weight:g}"
        style = {"style": f"--share:{min(1.0, max(0.0, token.weight)):.0%}"}
    text = token.text.replace("\n", "↵\n") or "▫"
    return element("span", text, class_=" ".join(["t", *filter(None, kinds)]), title=said, **style)


def _example(text: str, kinds: str, says: str) -> Html:
    return element("span", element("span", text, class_=f"t {kinds}".strip()), f" {says}", class_="entry")


_LEGEND = element(
    "p",
    _example("text", "learned", "learned"),
    _example("text", "", "given, not learned"),
    _example("<end>", "special", "special token"),
    _example("<end>", "special learned", "special and learned"),
    _example("text", "cut", "cut away: the model does not see it"),
    element("span", element("sup", "×0.5"), " weight of what is learned from there on", class_="entry"),
    element("span", "A line stands before each token; its id shows when you point at it.", class_="soft entry"),
    class_="legend",
)

STYLE = """
:root{--learned:#bfe8c6;--edge:#a9a69b;--special:#7a2fb5;--cut:#8f2d2d;--cut-back:#f7e3e1}
@media(prefers-color-scheme:dark){:root{--learned:#1d5a2c;--edge:#6d6b64;--special:#d9a6ff;--cut:#f0a49c;
--cut-back:#3d1f1c}}
.legend{line-height:2.1}
.entry{display:inline-block;margin-right:18px}
.parts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:14px}
.parts article{margin:0;min-width:0}
.tokens,.t{font:13px/1.9 ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.tokens{white-space:pre-wrap;overflow-wrap:anywhere;margin:0}
.t{border-left:1px solid var(--edge);padding:2px 0;white-space:pre-wrap;overflow-wrap:anywhere}
.t.learned{background:color-mix(in srgb,var(--learned) var(--share,100%),transparent)}
.t.special{color:var(--special);font-weight:600;border:1px solid var(--special);border-radius:4px;padding:1px 3px;
margin:0 1px}
.t.cut{color:var(--cut);background:var(--cut-back);text-decoration:line-through}
sup{font:11px system-ui,sans-serif;color:var(--soft);padding:0 3px}
"""
