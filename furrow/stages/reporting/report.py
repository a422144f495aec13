"""`report.md` and `report.html`: one page on what a run did, for a text editor and for a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from furrow.components.disk.publish import publish_text
from furrow.components.plain_text import printable
from furrow.stages.reporting.curves import Chart, text_curve
from furrow.stages.reporting.html import html_page
from furrow.stages.reporting.line_chart import number, picture
from furrow.stages.reporting.page import (
    NOTHING_FOUND,
    Block,
    Code,
    Curves,
    Figures,
    Findings,
    Page,
    Samples,
    Section,
    Table,
    page_of,
)
from furrow.stages.run.folder import CURVES_FILE, RunFolder
from furrow.strategies.schema import Strategy


def write_report(run: RunFolder, strategy: Strategy, sections: Sequence[Section] = ()) -> Path:
    """Publishes both pages, and the curves of the first as a picture, in the run folder; `sections` come before the
    settings. Returns the path of `report.md`."""
    page = page_of(run, strategy, sections)
    charts = [chart for section in page.sections for block in section.blocks for chart in _charts(block)]
    if charts:
        publish_text(run.path / CURVES_FILE, picture(charts))
    publish_text(run.report, markdown_page(page))
    publish_text(run.html_report, html_page(page))
    return run.report


def markdown_page(page: Page) -> str:
    """The page as Markdown. Whatever comes from data stands in tables or fences that it cannot break."""
    parts = [f"# {_inline(page.title)}", *([_paragraph(page.description)] if page.description else [])]
    for section in page.sections:
        parts += [f"## {_inline(section.title)}", *(text for block in section.blocks for text in _rendered(block))]
    return "\n\n".join(parts) + "\n"


def _rendered(block: Block) -> Iterator[str]:
    match block:
        case Table():
            yield table(block.head, block.rows)
        case Figures():
            yield table([name for name, _ in block.figures], [[value for _, value in block.figures]])
        case Findings():
            yield table(("what", "what to do"), block.findings) if block.findings else NOTHING_FOUND
        case Curves():
            yield f"![curves of the run]({CURVES_FILE})"
            yield fenced("\n".join(_text_curves(block.charts)))
        case Samples():
            for sample in block.answers:
                said = [("prompt", sample.prompt), ("before", sample.before)]
                said += [(f"after {sample.after_step} steps", sample.after), ("in the data", sample.reference)]
                yield "\n".join(f"**{name}**\n\n{fenced(text)}\n" for name, text in said if text is not None)
        case Code():
            yield fenced(block.text, block.language)
        case str():
            yield block


def _charts(block: Block) -> Sequence[Chart]:
    return block.charts if isinstance(block, Curves) else ()


def _text_curves(charts: Sequence[Chart]) -> Iterator[str]:
    for chart in charts:
        for series in chart.series:
            begun, ended = number(series.points[0][1]), number(series.points[-1][1])
            yield f"{chart.title:14} {series.name:6} {text_curve(series.points, 40):40}  {begun} → {ended} {chart.unit}"


def table(head: Sequence[str], rows: Any) -> str:
    """A Markdown table; cells are escaped, so that data cannot break it."""
    lines = ["| " + " | ".join(map(_inline, head)) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_inline(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def fenced(text: str, language: str = "") -> str:
    """A block of code around the text, with a fence that is longer than any in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{printable(text)}\n{fence}"


def _inline(value: Any) -> str:
    """On one line, with the signs that would be markup taken as themselves."""
    return re.sub(r"([\\`*_\[\]|<>#~!&$])", r"\\\1", " ".join(printable(str(value)).split()))


def _paragraph(text: str) -> str:
    """One that is no list, rule or heading, whatever it begins with."""
    return re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", _inline(text))
