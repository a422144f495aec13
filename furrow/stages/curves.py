"""Loss curves: as a picture for people who have one, as text for those who have a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

Points = Sequence[tuple[int, float]]
"""(step, value)"""

_BARS = "▁▂▃▄▅▆▇█"


def picture(destination: Path, train: Points, evaluation: Points) -> None:
    """A PNG with the training loss of every step and the evaluation loss where it was measured."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([step for step, _ in train], [value for _, value in train], linewidth=1, label="train")
    if evaluation:
        axes.plot([step for step, _ in evaluation], [value for _, value in evaluation], marker="o", label="eval")
    axes.set(xlabel="step", ylabel="loss (nats per learned token)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(destination)


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
