"""Speed and memory side by side: one row of bars for each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.records import Run, middle
from benchmarks.systems.table import SYSTEMS

OURS, THEIRS = "#2a6f97", "#b8b8b8"


def plot(runs: Mapping[str, Sequence[Run]], destination: Path) -> None:
    """An SVG; nothing is written where nothing was measured."""
    bars = {name: _bars(name, runs.get(name, ())) for name in CASES}
    bars = {name: each for name, each in bars.items() if each}
    if not bars:
        return
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    heights = [len(each) + 1.4 for each in bars.values()]
    with matplotlib.rc_context({"svg.hashsalt": "furrow", "svg.fonttype": "none"}):  # the same bytes for the same runs
        figure = Figure(figsize=(11, 0.42 * sum(heights)), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(bars), 2, squeeze=False, height_ratios=heights)
        for axes, (name, each) in zip(grid, bars.items(), strict=True):
            titles = [title for title, _, _, _ in each]
            colours = [OURS if ours else THEIRS for _, ours, _, _ in each]
            _draw(
                axes[0], titles, [speed for _, _, speed, _ in each], colours, "{:.2f}", f"{CASES[name].title}\nrows/s"
            )
            _draw(axes[1], titles, [memory for _, _, _, memory in each], colours, "{:.1f}", "\npeak memory (GiB)")
            axes[1].set_yticklabels([])
        figure.savefig(destination, metadata={"Date": None})


def _bars(case: str, runs: Sequence[Run]) -> list[tuple[str, bool, float, float]]:
    """(title, is Furrow, rows/s, GiB) of every system that was measured, in the case's order."""
    found = []
    for name in CASES[case].systems:
        good = [run for run in runs if run.system == name and run.failed is None]
        speed = middle(good, lambda run: run.rows_per_second)
        memory = middle(good, lambda run: run.peak_bytes / 2**30)
        if speed is not None and memory is not None:
            found.append((SYSTEMS[name].title, SYSTEMS[name].environment is None, speed, memory))
    return found


def _draw(axes, titles: list[str], values: list[float], colours: list[str], form: str, title: str) -> None:
    places = range(len(values))
    drawn = axes.barh(places, values, color=colours)
    axes.bar_label(drawn, labels=[form.format(value) for value in values], padding=3, fontsize=8)
    axes.set_yticks(places, titles, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(title, fontsize=9, loc="left")
    axes.margins(x=0.12)
    axes.tick_params(axis="x", labelsize=7)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
