"""An HTML page that stands by itself: nothing is fetched, nothing runs, light and dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from furrow.components.plain_text import printable

# No script, no fetch, no form: what data and models wrote stays text, whatever it is.
_POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"


class Html(str):
    """Text that is markup already. Everything else is escaped where it is put into an element."""


def element(name: str, *inside: Any, **attributes: str) -> Html:
    """`<name …>inside</name>`; a `class` is written `class_`."""
    written = "".join(f' {key.rstrip("_")}="{escape(printable(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{''.join(map(_safe, inside))}</{name}>")


def document(title: str, body: Iterable[Html], *styles: str) -> str:
    """The whole file; `styles` come after those of every page."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            _POLICY,
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            element("title", title),
            f"<style>{_PALETTE}{_STYLE}{''.join(styles)}</style></head><body><main>",
            *body,
            "</main></body></html>\n",
        ]
    )


def table(head: Iterable[Any], rows: Iterable[Iterable[Any]], *, unbroken: bool = False) -> Html:
    """Numbers stand at the right; a wide table scrolls by itself. `unbroken`: no cell becomes two lines."""
    top = element("tr", *(element("th", name) for name in head))
    below = [element("tr", *map(_cell, row)) for row in rows]
    kind = "scroll unbroken" if unbroken else "scroll"
    return element("div", element("table", element("thead", top), element("tbody", *below)), class_=kind)


def tiles(figures: Iterable[tuple[str, str]]) -> Html:
    """The few numbers that one looks for first: (name, value)."""
    made = [element("div", element("b", value), element("span", name), class_="tile") for name, value in figures]
    return element("div", *made, class_="tiles")


def _safe(inside: Any) -> str:
    return inside if isinstance(inside, Html) else escape(printable(str(inside)))


def _cell(value: Any) -> Html:
    return element("td", value, class_="number") if isinstance(value, int | float) else element("td", value)


_PALETTE = """
:root{--ink:#0b0b0b;--soft:#5d5b55;--page:#f6f5f1;--card:#ffffff;--grid:#e6e4de;--warn:#8a4b00;--warn-back:#fdf0d9;
--fine:#1c6b2c;--fine-back:#e3f4e4}
@media(prefers-color-scheme:dark){:root{--ink:#f4f3ef;--soft:#b3b1a9;--page:#141413;--card:#1f1f1d;--grid:#3a3935;
--warn:#f5c277;--warn-back:#3a2a10;--fine:#8fd69b;--fine-back:#16301a}}
"""
_STYLE = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}
h2{font-size:17px;margin:36px 0 12px}
h3{font-size:12px;font-weight:600;margin:0 0 4px;color:var(--soft)}
p{margin:0 0 8px}
.soft{color:var(--soft)}
.chip{display:inline-block;padding:2px 10px;border-radius:12px;font-size:13px;font-weight:600}
.chip.warn{color:var(--warn);background:var(--warn-back)}
.chip.fine{color:var(--fine);background:var(--fine-back)}
.card,.tile{background:var(--card);border:1px solid var(--grid);border-radius:8px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:10px;margin-bottom:14px}
.tile{padding:10px 14px}
.tile b{display:block;font-size:19px;font-weight:600;white-space:nowrap}
.tile span{font-size:13px;color:var(--soft)}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:14px}
figure{margin:0;padding:14px 16px 6px}
figure svg{display:block;width:100%;height:auto}
.finding{background:var(--warn-back);border-left:4px solid var(--warn);border-radius:4px;padding:10px 14px;
margin-bottom:10px}
.finding p{margin:0}
article{padding:14px 16px;margin-bottom:12px}
.answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(240px,100%),1fr));gap:18px}
.text{white-space:pre-wrap;overflow-wrap:anywhere;max-height:20em;overflow:auto;margin:0}
.prompt{font-weight:600;margin-bottom:10px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;background:var(--card);font-variant-numeric:tabular-nums}
th,td{padding:6px 14px;border:1px solid var(--grid);text-align:left;vertical-align:top;overflow-wrap:anywhere}
th{font-size:13px;color:var(--soft);font-weight:600}
td.number{text-align:right}
.unbroken td,.unbroken th{white-space:nowrap}
summary{cursor:pointer}
summary h2{display:inline-block}
pre{background:var(--card);border:1px solid var(--grid);border-radius:8px;padding:14px;overflow-x:auto;
font:13px/1.45 ui-monospace,Menlo,Consolas,monospace}
"""
