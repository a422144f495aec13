"""Curves of a run: smoothed, thinned out so that a long one still fits on a page, and as a line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Points = Sequence[tuple[int, float]]
"""(step, value)"""

MOST_POINTS = 400
"""Of one line: more than a picture of that width can show."""

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Series:
    """One line of a chart. `measured`: few points, each of which counts. `noisy`: many, of which the mean does."""

    name: str
    points: Points
    measured: bool = False
    noisy: bool = False


@dataclass(frozen=True)
class Chart:
    """One or two lines over the steps of a run, all in one unit."""

    title: str
    unit: str
    series: tuple[Series, ...]
    last_step: int
    """All charts of a run go from its first step to this one, so that they can be read side by side."""


def thinned(points: Points, most: int = MOST_POINTS) -> Points:
    """At most so many points: of each stretch of steps its lowest and its highest, so that no spike is lost."""
    if len(points) <= most:
        return points
    kept: list[tuple[int, float]] = []
    count = most // 2
    for number in range(count):
        stretch = points[number * len(points) // count : (number + 1) * len(points) // count]
        ends = {min(stretch, key=lambda point: point[1]), max(stretch, key=lambda point: point[1])}
        kept += sorted(ends)
    return kept


def smoothed(points: Points, over: int) -> Points:
    """At each step the mean of the last `over` values (fewer at the beginning)."""
    found, total = [], 0.0
    for number, (step, value) in enumerate(points):
        total += value - (points[number - over][1] if number >= over else 0.0)
        found.append((step, total / min(number + 1, over)))
    return found


def text_curve(points: Points, width: int = 60) -> str:
    """One line of bars, the mean of each stretch of steps; empty for no points."""
    if not points:
        return ""
    values = [value for _, value in points]
    count = min(width, len(values))
    means = []
    for column in range(count):
        stretch = values[column * len(values) // count : (column + 1) * len(values) // count]
        means.append(sum(stretch) / len(stretch))
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(_BARS[round((mean - low) / span * (len(_BARS) - 1))] for mean in means)
