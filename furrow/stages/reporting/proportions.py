"""Shares of a whole as bars: of one whole in one bar, and of names below one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from furrow.stages.reporting.markup import Html, element

MOST_BARS = 12


def ranked(counts: Mapping[str, int]) -> Html:
    """A bar for each of the most frequent ones, against the longest."""
    ranked = sorted(counts.items(), key=lambda each: -each[1])
    total, most = sum(counts.values()), ranked[0][1]
    lines = []
    for name, count in ranked[:MOST_BARS]:
        bar = element("span", element("i", style=f"width:{count / max(most, 1):.1%}"), class_="track")
        share = count / max(total, 1)
        lines.append(element("p", element("span", name), bar, element("b", f"{count:,} ({share:.1%})"), class_="rank"))
    if len(ranked) > MOST_BARS:
        lines.append(element("p", f"and {len(ranked) - MOST_BARS:,} more", class_="soft"))
    return element("div", *lines)


def stacked(parts: Sequence[tuple[str, int, str]]) -> Html:
    """One bar, and below it what its colours mean. A part of less than a pixel is still seen."""
    there = [(name, count, colour) for name, count, colour in parts if count]
    total = max(sum(count for _, count, _ in there), 1)
    bars = [
        element("i", class_=f"part {colour}", style=f"flex:{count / total:.4f} 0 2px", title=f"{name}: {count:,}")
        for name, count, colour in there
    ]
    legend = [
        element("span", element("i", class_=f"key {colour}"), f"{name} {part(count, total)}", class_="entry")
        for name, count, colour in there
    ]
    return element("div", element("div", *bars, class_="stack"), element("p", *legend, class_="soft"))


def part(count: int, of: int) -> str:
    """Never 0 % of something, never 100 % of what is not all."""
    share = count / of if of else 0.0
    told = (
        "0%"
        if not count
        else f"{share:.1%}"
        if 0.0005 <= share < 0.9995 or count == of
        else ("under 0.1%" if share < 0.5 else "over 99.9%")
    )
    return f"{count:,} ({told})"


STYLE = """
:root{--a:#2a78d6;--b:#7fb2e8;--c:#c8501e;--d:#a3261d;--e:#b9b6ab}
@media(prefers-color-scheme:dark){:root{--a:#5a9ef0;--b:#2d5688;--c:#f0804f;--d:#e0695f;--e:#5c5a53}}
.stack{display:flex;gap:2px;height:26px;border-radius:6px;overflow:hidden;margin-bottom:8px}
.part{display:block;min-width:2px}
.key{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
.entry{display:inline-block;margin-right:18px}
.a{background:var(--a)}.b{background:var(--b)}.c{background:var(--c)}.d{background:var(--d)}.e{background:var(--e)}
.ranked{padding:12px 16px}
.rank{display:grid;grid-template-columns:minmax(60px,1fr) 2fr 128px;gap:10px;align-items:center;margin:0 0 4px}
.rank span:first-child{overflow-wrap:anywhere}
.rank b{font-weight:400;white-space:nowrap;color:var(--soft);text-align:right;font-variant-numeric:tabular-nums}
.track{display:block;background:var(--page);border-radius:3px}
.track i{display:block;height:14px;min-width:2px;border-radius:3px;background:var(--a)}
"""
