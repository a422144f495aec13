"""What `furrow data inspect` found, on the screen: figures, the lengths as bars, and each finding with its rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import click
from rich.table import Table
from rich.text import Text

from furrow.components.events import listed
from furrow.components.plural import plural
from furrow.components.secrets import scrubbed_values
from furrow.screen.console import console
from furrow.screen.text import one_line
from furrow.stages.data.inspection.findings import Finding, Histogram, Inspection, Lengths, TokenFigures
from furrow.stages.reporting.proportions import part

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}
MOST_NAMES = 6
"""Languages, labels and layouts that one line has room for."""
BAR_LETTERS = 40
HISTOGRAM_LINES = 12
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def show_inspection(inspection: Inspection, *, as_json: bool) -> None:
    """A picture on a terminal; in a pipe one line a finding; as JSON one object with every row of every finding."""
    if as_json:
        click.echo(json.dumps({"event": "inspected", **scrubbed_values(inspection.as_json())}))
        return
    screen = console()
    if screen.is_terminal:
        screen.print(_grid((name, "bold", [value]) for name, value in figures(inspection)))
        for lengths in inspection.lengths[:1]:
            screen.print(*_histogram(lengths, inspection.tokens), sep="\n")
        screen.print()
        screen.print(_grid(map(_told, inspection.findings)))
    else:
        for name, value in figures(inspection):
            click.echo(one_line(f"{name}: {value}"))
        for finding in inspection.findings:
            click.echo(one_line(_line(finding)))
    click.echo(summary(inspection.findings))


def figures(inspection: Inspection) -> Iterator[tuple[str, str]]:
    """(name, value): what one wants to know of any data set."""
    rows = inspection.rows
    yield "rows", f"{rows.read:,} read: {rows.train:,} to learn, {rows.evaluation:,} to evaluate on"
    left_out = (("bad", rows.bad), ("dropped by filter_quality", rows.dropped), ("duplicates", rows.duplicates))
    if told := [f"{count:,} {name}" for name, count in left_out if count]:
        yield "left out", ", ".join(told)
    counted = (("layout", inspection.layouts), ("language", inspection.languages), ("label", inspection.labels))
    for name, counts in counted:
        if counts:
            yield name, _shares(counts)
    for lengths in inspection.lengths:
        yield f"{lengths.what} length", _length(lengths)
    if inspection.tokens is not None:
        yield from _tokens(inspection.tokens)
    elif inspection.no_tokens:
        yield "tokens", inspection.no_tokens


def summary(findings: Sequence[Finding]) -> str:
    counts = {name: sum(finding.severity == name for finding in findings) for name in STYLES}
    told = [plural(count, name) for name, count in counts.items() if count]
    return ", ".join(told) if told else "nothing to warn of"


def _tokens(tokens: TokenFigures) -> Iterator[tuple[str, str]]:
    learned = f", {tokens.learned:,} learned ({tokens.learned / tokens.tokens:.1%})" if tokens.learned else ""
    yield "tokens", f"{tokens.tokens:,} an epoch{learned}"
    answers = f" (of {tokens.cut_answers:,} a part of the answer)" if tokens.cut_answers else ""
    cut = f"{plural(tokens.truncated, 'row')} cut{answers}" if tokens.truncated else "no row is cut"
    yield "max_length", f"{tokens.max_length:,}: {cut}" + (f", {tokens.dropped:,} dropped" if tokens.dropped else "")
    yield "padding", f"{tokens.padding_sorted:.1%} in batches of rows of like length, {tokens.padding:.1%} at random"


def _length(lengths: Lengths) -> str:
    most = lengths.percentiles
    return f"median {most['50']:,}, 95% up to {most['95']:,}, longest {most['100']:,} {lengths.unit}"


def _shares(counts: Mapping[str, int]) -> str:
    ranked, total = sorted(counts.items(), key=lambda each: -each[1]), max(sum(counts.values()), 1)
    told = [f"{name} {part(count, total)}" for name, count in ranked[:MOST_NAMES]]
    return ", ".join(told) + (f" and {len(ranked) - MOST_NAMES:,} more" if len(ranked) > MOST_NAMES else "")


def _histogram(lengths: Lengths, tokens: TokenFigures | None) -> Iterator[Text]:
    """A bar a line; what lies beyond max_length is red."""
    limit = tokens.max_length if tokens is not None and lengths.unit == "tokens" else None
    edges, counts = _coarser(lengths.histogram)
    most, wide = max(counts, default=1) or 1, max(len(f"{edge:,.0f}") for edge in edges)
    yield Text(f"\n{lengths.what} length in {lengths.unit}", "bold")
    for low, count in zip(edges, counts, strict=False):
        eighths = round(count / most * BAR_LETTERS * 8) or (1 if count else 0)
        bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        over = limit is not None and low > limit
        yield Text.assemble(f"{low:>{wide + 2},.0f} ", (bar, "red" if over else "blue"), f" {count:,}" if count else "")


def _coarser(histogram: Histogram) -> tuple[list[float], list[int]]:
    """Neighbouring bins together, so that there are at most HISTOGRAM_LINES."""
    each = -(-len(histogram.counts) // HISTOGRAM_LINES) or 1
    starts = range(0, len(histogram.counts), each)
    counts = [sum(histogram.counts[start : start + each]) for start in starts]
    return [histogram.edges[start] for start in starts], counts


def _grid(rows: Iterable[tuple[str, str, Sequence[str | Text]]]) -> Table:
    """(name, its style, lines): the lines of one below another, beside its name; nothing is cut."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, style, lines in rows:
        safe = (line if isinstance(line, Text) else Text(one_line(line)) for line in lines)
        table.add_row(Text(one_line(name), style), Text("\n").join(safe))
    return table


def _told(finding: Finding) -> tuple[str, str, list[str | Text]]:
    lines: list[str | Text] = [f"{finding.rule}: {finding.message}"]
    if finding.where:
        lines.append(Text(one_line(listed(finding.where)), "dim"))
    if finding.setting:
        lines.append(f"→ {finding.setting}")
    return finding.severity, STYLES[finding.severity], lines


def _line(finding: Finding) -> str:
    where = f" ({listed(finding.where)})" if finding.where else ""
    mended = f"  -> {finding.setting}" if finding.setting else ""
    return f"{finding.severity}: {finding.rule}: {finding.message}{where}{mended}"
