"""The report of a run as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator

from furrow.stages.reporting.line_chart import PALETTE, STYLE, chart_svg
from furrow.stages.reporting.markup import Html, document, element, table, tiles
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
)
from furrow.stages.reporting.record import Answers


def html_page(page: Page) -> str:
    """The page; every text of data or model is escaped on its way in."""
    findings = [block for section in page.sections for block in section.blocks if isinstance(block, Findings)]
    count = sum(len(block.findings) for block in findings)
    head = [element("h1", page.title)]
    if page.description:
        head.append(element("p", page.description, class_="soft"))
    if findings:
        said = "nothing to warn of" if not count else f"{count} finding{'s' * (count > 1)}"
        head.append(element("span", said, class_="chip warn" if count else "chip fine"))
    body = [element("header", *head), *map(_section, page.sections)]
    return document(page.title, body, PALETTE, STYLE)


def _section(section: Section) -> Html:
    blocks = [part for block in section.blocks for part in _rendered(block)]
    if any(isinstance(block, Code) for block in section.blocks):
        return element("section", element("details", element("summary", element("h2", section.title)), *blocks))
    return element("section", element("h2", section.title), *blocks)


def _rendered(block: Block) -> Iterator[Html]:
    match block:
        case Table():
            yield table(block.head, block.rows)
        case Figures():
            yield tiles(block.figures)
        case Findings():
            if not block.findings:
                yield element("p", NOTHING_FOUND, class_="soft")
            for message, remedy in block.findings:
                yield element("div", element("p", message), element("p", remedy, class_="soft"), class_="finding")
        case Curves():
            cards = [element("figure", Html(chart_svg(chart)), class_="card") for chart in block.charts]
            yield element("div", *cards, class_="charts")
        case Samples():
            yield from map(_sample, block.answers)
        case Code():
            yield element("pre", block.text)
        case str():
            yield element("p", block, class_="soft")


def _sample(sample: Answers) -> Html:
    answers = [("before", sample.before), (f"after {sample.after_step:,} steps", sample.after)]
    answers.append(("in the data", sample.reference))
    columns = [
        element("div", element("h3", name), element("p", text or "(nothing)", class_="text"))
        for name, text in answers
        if text is not None
    ]
    prompt = element("p", sample.prompt, class_="text prompt")
    return element("article", prompt, element("div", *columns, class_="answers"), class_="card")
