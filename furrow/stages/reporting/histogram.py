"""A histogram as SVG, with a line where a limit lies; in the colours of the page, without any library."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

from furrow.components.plain_text import one_line

WIDTH, HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 52, 40
_LABELS = 6
"""Along the axis, so that they do not touch on a narrow screen, where letters are larger beside the bars."""

STYLE = """
.bars{--bar:#2a78d6;--over:#c8501e;--ink:#0b0b0b;--soft:#5d5b55;--grid:#e6e4de;display:block;width:100%;height:auto}
@media(prefers-color-scheme:dark){.bars{--bar:#5a9ef0;--over:#f0804f;--ink:#f4f3ef;--soft:#b3b1a9;--grid:#3a3935}}
.bars text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--soft)}
.bars .title{font-size:14px;font-weight:600;fill:var(--ink)}
.bars .grid{stroke:var(--grid);stroke-width:1}
.bars .bar{fill:var(--bar)}
.bars .over{fill:var(--over)}
.bars .limit{stroke:var(--over);stroke-width:2;stroke-dasharray:5 4}
.bars .limit-name{fill:var(--over);font-weight:600}
@media(max-width:560px){.bars text{font-size:16px}.bars .title{font-size:18px}}
"""


class Limit(NamedTuple):
    """A value that is not to be passed, and what it is called."""

    value: float
    name: str


@dataclass(frozen=True)
class Bars:
    """`counts[n]` values from `edges[n]` up to `edges[n + 1]`; `told` is said of it in a line below the title."""

    title: str
    unit: str
    edges: Sequence[float]
    counts: Sequence[int]
    told: str = ""
    limit: Limit | None = None


def histogram_svg(bars: Bars) -> str:
    """All bars have one width, whatever their bins are worth: the labels say where they begin. What lies beyond the
    limit has the limit's colour."""
    return (
        f'<svg class="bars" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(_said(bars))}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(_inside(bars))}</svg>'
    )


def short(value: float) -> str:
    """A number on an axis: 950, 12.5k, 3M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.4g}"


def _inside(bars: Bars) -> list[str]:
    edges, counts = bars.edges, bars.counts
    width = (WIDTH - _LEFT - _RIGHT) / len(counts)
    floor, top = HEIGHT - _BOTTOM, _steps(max(counts))[-1]

    def y(count: float) -> float:
        return floor - (floor - _TOP) * count / top

    parts = [f'<text class="title" x="0" y="16">{_text(bars.title)}</text>']
    if bars.told:
        parts.append(f'<text x="0" y="36">{_text(bars.told)}</text>')
    for tick in _steps(max(counts)):
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for number, count in enumerate(counts):
        if count:
            style = "bar over" if bars.limit is not None and edges[number] > bars.limit.value else "bar"
            height = max(1.5, floor - y(count))  # a single row among a million is still seen
            said = f"{edges[number]:,.4g} to {edges[number + 1]:,.4g} {bars.unit}: {count:,}"
            parts.append(
                f'<rect class="{style}" x="{_LEFT + number * width + 0.5:.1f}" y="{floor - height:.1f}" '
                f'width="{max(1.0, width - 1):.1f}" height="{height:.1f}"><title>{_text(said)}</title></rect>'
            )
    every = max(1, -(-len(edges) // _LABELS))
    for number in range(0, len(edges), every):
        anchor = "start" if number == 0 else "end" if number == len(edges) - 1 else "middle"
        x = _LEFT + number * width
        parts.append(f'<text x="{x:.1f}" y="{floor + 17}" text-anchor="{anchor}">{short(edges[number])}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT - 4}" text-anchor="end">{_text(bars.unit)}</text>')
    return [*parts, *_limit(bars, width, floor)]


def _limit(bars: Bars, width: float, floor: float) -> list[str]:
    """Nothing where all bars lie far below it: the line would be off the picture."""
    if bars.limit is None or bars.limit.value > bars.edges[-1]:
        return []
    x = _LEFT + _place(bars.edges, bars.limit.value) * width
    anchor, beside = ("end", -6) if x > WIDTH * 0.6 else ("start", 6)
    return [
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 8}" y2="{floor}"/>',
        f'<text class="limit-name" x="{x + beside:.1f}" y="{_TOP + 4}" text-anchor="{anchor}">'
        f"{_text(bars.limit.name)}</text>",
    ]


def _place(edges: Sequence[float], value: float) -> float:
    """In bars from the left: within a bin as far as the value lies in it."""
    number = min(max(bisect.bisect_right(edges, value) - 1, 0), len(edges) - 2)
    low, high = edges[number], edges[number + 1]
    return number + ((value - low) / (high - low) if high > low else 0.0)


def _steps(most: int) -> list[int]:
    """About four round counts from 0 on, the last one not below the highest bar."""
    step = 1
    while step * 4 < most:
        step = step * 2 if str(step)[0] != "2" else step // 2 * 5
    return [step * number for number in range(-(-most // step) + 1)] if most else [0, 1]


def _said(bars: Bars) -> str:
    """What the picture shows, for who cannot see it."""
    count, most = sum(bars.counts), max(range(len(bars.counts)), key=bars.counts.__getitem__)
    text = f"{bars.title}: {count:,} values, most of them from {bars.edges[most]:,.4g} to {bars.edges[most + 1]:,.4g}"
    return f"{text} {bars.unit}" + (f"; {bars.limit.name}" if bars.limit else "")


def _text(text: str) -> str:
    return escape(one_line(text))
