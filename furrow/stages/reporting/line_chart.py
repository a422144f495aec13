"""A chart as SVG: crisp at any size, in the colours of the reader's light or dark page, without any library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from furrow.components.plain_text import one_line
from furrow.stages.reporting.curves import Chart, Points, Series, smoothed, thinned

WIDTH, HEIGHT = 520, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 50, 26
_SMOOTH_FROM = 60
"""From so many steps on, a noisy line is shown faintly, and the mean over a twentieth of the run on it."""

PALETTE = """
.chart{--ink:#0b0b0b;--soft:#5d5b55;--grid:#e6e4de;--line-0:#2a78d6;--line-1:#c8501e;--card:#ffffff}
@media(prefers-color-scheme:dark){.chart{--ink:#f4f3ef;--soft:#b3b1a9;--grid:#3a3935;--line-0:#5a9ef0;--line-1:#f0804f;
--card:#1f1f1d}}
"""
"""Colours of a chart and of the page around it."""
STYLE = """
.chart text{font:12px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--soft)}
.chart .title{font-size:14px;font-weight:600;fill:var(--ink)}
.chart .grid{stroke:var(--grid);stroke-width:1}
.chart .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.chart .faint{stroke-width:1;opacity:.3}
.chart .s0{stroke:var(--line-0)}.chart .s1{stroke:var(--line-1)}
.chart .d0{fill:var(--line-0);stroke:var(--card);stroke-width:2}
.chart .d1{fill:var(--line-1);stroke:var(--card);stroke-width:2}
.chart .k0{fill:var(--line-0)}.chart .k1{fill:var(--line-1)}
"""


def chart_svg(chart: Chart) -> str:
    """One chart as an `<svg>` element; its classes are coloured by PALETTE and STYLE."""
    said = f"{chart.title}: " + ", ".join(f"{one.name} {number(one.points[-1][1])}" for one in chart.series)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(said)}" '
        f'xmlns="http://www.w3.org/2000/svg">{_inside(chart)}</svg>'
    )


def picture(charts: Sequence[Chart], columns: int = 2) -> str:
    """All charts in one SVG file that stands for itself."""
    rows = math.ceil(len(charts) / columns)
    placed = "".join(
        f'<g transform="translate({index % columns * (WIDTH + 20)},{index // columns * (HEIGHT + 16)})">'
        f"{_inside(chart)}</g>"
        for index, chart in enumerate(charts)
    )
    width, height = columns * (WIDTH + 20) - 20, max(1, rows) * (HEIGHT + 16)
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><style>{PALETTE}{STYLE}</style>{placed}</svg>\n'
    )


def number(value: float) -> str:
    """Short and readable: 1,234 or 0.0123 or 1.2e-05."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size == 0 or size >= 1e-3:
        return f"{value:.4g}"
    return f"{value:.2g}"


def _inside(chart: Chart) -> str:
    drawn = [point for series in chart.series for point in series.points]
    low, high, ticks = _scale([value for _, value in drawn])
    first, last = 1, max(chart.last_step, 1)

    def x(step: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((step - first) / (last - first) if last > first else 0.5)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    parts = [f'<text class="title" x="0" y="14">{_text(chart.title)}</text>', _legend(chart)]
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for step in dict.fromkeys((first, (first + last) // 2, last)):
        anchor = "start" if step == first < last else "end" if step == last > first else "middle"
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{step:,}</text>')
    for index, series in enumerate(chart.series):
        for points, style in _lines(series):
            path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in thinned(points))
            parts.append(f'<polyline class="line s{index} {style}" points="{path}"/>')
        if series.measured or len(series.points) == 1:
            parts += [
                f'<circle class="d{index}" cx="{x(step):.1f}" cy="{y(value):.1f}" r="4.5">'
                f"<title>step {step:,}: {number(value)}</title></circle>"
                for step, value in thinned(series.points, 100)
            ]
    return "".join(parts)


def _text(text: str) -> str:
    """Names of metrics come from plugins; XML knows no control characters at all."""
    return escape(one_line(text))


def _lines(series: Series) -> list[tuple[Points, str]]:
    if not series.noisy or len(series.points) < _SMOOTH_FROM:
        return [(series.points, "")]
    return [(series.points, "faint"), (smoothed(series.points, len(series.points) // 20), "")]


def _legend(chart: Chart) -> str:
    """Each line with its name and its last value, below the title."""
    parts, left = [], 0.0
    for index, series in enumerate(chart.series):
        text = f"{series.name} {number(series.points[-1][1])} {chart.unit}".strip()
        parts.append(f'<rect class="k{index}" x="{left:.0f}" y="24" width="12" height="3" rx="1.5"/>')
        parts.append(f'<text x="{left + 17:.0f}" y="30">{_text(text)}</text>')
        left += 17 + 6.6 * len(text) + 18
    return "".join(parts)


def _scale(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """(lowest, highest, ticks): about four round numbers that the values lie between."""
    low, high = min(values), max(values)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-30):
        pad = abs(high) / 2 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, last * step, [index * step for index in range(first, last + 1)]
