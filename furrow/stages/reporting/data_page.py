"""The inspection of a data set as an HTML page: what was found, with rows and remedy, and how the rows are made."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from furrow.components.disk.publish import publish_text
from furrow.components.events import listed
from furrow.components.plural import plural
from furrow.stages.data.inspection.findings import Finding, Inspection, Lengths, TokenFigures
from furrow.stages.reporting.histogram import STYLE as HISTOGRAM_STYLE
from furrow.stages.reporting.histogram import Bars, Limit, histogram_svg
from furrow.stages.reporting.markup import Html, document, element, table, tiles
from furrow.stages.reporting.proportions import STYLE as PROPORTIONS_STYLE
from furrow.stages.reporting.proportions import part, ranked, stacked

FIRST_PLACES, ALL_PLACES = 5, 2000
"""Rows that a finding names at once, and when it is opened; the JSON form has all."""
NOTHING = "No rule found anything to warn of."


class _Part(NamedTuple):
    """A section: what it is called at the top of the page, its heading, and what stands below that."""

    name: str
    title: str
    inside: Sequence[Html]


def write_inspection(inspection: Inspection, file: Path) -> None:
    """Publishes the page there."""
    publish_text(file, inspection_page(inspection))


def inspection_page(inspection: Inspection) -> str:
    """The page; whatever comes from data is escaped on its way in."""
    title = f"{inspection.strategy}: its data" if inspection.strategy else "Data"
    head = [
        element("h1", title),
        element("p", ", ".join(inspection.files), class_="soft"),
        *_chips(inspection.findings),
    ]
    parts = [_findings(inspection.findings), _rows(inspection), *_lengths(inspection)]
    parts += [*_tokens(inspection.tokens), *_shares(inspection)]
    links = [element("a", each.name, href=f"#{number}") for number, each in enumerate(parts)]
    body = [
        element("header", *head),
        element("nav", *links),
        element("section", tiles(_headline(inspection))),
        *(
            element("section", element("h2", each.title, id=str(number)), *each.inside)
            for number, each in enumerate(parts)
        ),
    ]
    return document(title, body, HISTOGRAM_STYLE, PROPORTIONS_STYLE, STYLE)


def _chips(findings: Sequence[Finding]) -> Iterator[Html]:
    for severity in ("error", "warning", "note"):
        count = sum(finding.severity == severity for finding in findings)
        if count:
            yield element("span", f"{count} {severity}{'s' * (count > 1)}", class_=f"chip {severity}")
    if not any(finding.severity != "note" for finding in findings):
        yield element("span", "nothing to warn of", class_="chip fine")


def _headline(inspection: Inspection) -> list[tuple[str, str]]:
    rows, tokens = inspection.rows, inspection.tokens
    figures = [("rows to learn", f"{rows.train:,}"), ("rows to evaluate on", f"{rows.evaluation:,}")]
    if rows.bad or rows.dropped or rows.duplicates:
        figures.append(("rows left out", f"{rows.bad + rows.dropped + rows.duplicates:,}"))
    if tokens is not None:
        figures.append(("tokens an epoch", f"{tokens.tokens:,}"))
        if tokens.learned:
            figures.append(("of them learned", f"{tokens.learned / tokens.tokens:.1%}"))
        figures.append(("rows cut", part(tokens.truncated, rows.train)))
        figures.append(("padding", f"{tokens.padding_sorted:.1%}"))
    return figures


def _findings(findings: Sequence[Finding]) -> _Part:
    if not findings:
        return _Part("Findings", "Findings", [element("p", NOTHING, class_="soft")])
    return _Part("Findings", "Findings", [element("div", *map(_finding, findings), class_="findings")])


def _finding(finding: Finding) -> Html:
    head = element("span", finding.severity, class_=f"chip {finding.severity}"), " ", element("code", finding.rule)
    inside = [element("p", *head, class_="rule"), element("p", finding.message)]
    if len(finding.where) > FIRST_PLACES:
        summary = element("summary", listed(finding.where, FIRST_PLACES), class_="soft")
        inside.append(element("details", summary, *_all_places(finding.where)))
    elif finding.where:
        inside.append(element("p", listed(finding.where), class_="soft places"))
    if finding.setting:
        inside.append(element("p", f"→ {finding.setting}"))
    if finding.examples:
        inside.append(element("ul", *(element("li", each) for each in finding.examples), class_="examples"))
    return element("article", *inside, class_=f"finding {finding.severity}")


def _all_places(where: Sequence[str]) -> Iterator[Html]:
    """Line numbers file by file: a list of full paths would be a page of its own."""
    for file, places in itertools.groupby(where[:ALL_PLACES], lambda place: place.rpartition(":")[0]):
        lines = ", ".join(place.rpartition(":")[2] for place in places)
        yield element("p", element("b", f"{file}: "), lines, class_="places")
    if len(where) > ALL_PLACES:
        yield element("p", f"and {len(where) - ALL_PLACES:,} more, which the JSON form has (--json)", class_="soft")


def _rows(inspection: Inspection) -> _Part:
    rows, too_long = inspection.rows, inspection.tokens.dropped if inspection.tokens else 0
    parts = [
        ("learned", max(rows.train - too_long, 0), "a"),
        ("evaluated on", rows.evaluation, "b"),
        ("bad", rows.bad, "d"),
        ("dropped by filter_quality", rows.dropped, "c"),
        ("duplicates removed", rows.duplicates, "e"),
        ("too long", too_long, "d"),
    ]
    return _Part("Rows", f"What becomes of {rows.read:,} rows", [stacked(parts)])


def _lengths(inspection: Inspection) -> Iterator[_Part]:
    if not inspection.lengths:
        return
    most = inspection.tokens.max_length if inspection.tokens else None
    cards = [
        element("figure", Html(histogram_svg(_bars(each, most))), class_="card")
        for each in inspection.lengths
        if sum(each.histogram.counts)
    ]
    names = [name for name in inspection.lengths[0].percentiles if name not in ("0", "100")]
    head = ("", "mean", "shortest", *(f"{name}%" for name in names), "longest", "all together")
    lines = [
        (
            f"{each.what} ({each.unit})",
            f"{each.mean:,.1f}",
            *(f"{each.percentiles[name]:,}" for name in ("0", *names, "100")),
            f"{each.total:,}",
        )
        for each in inspection.lengths
    ]
    about = inspection.no_tokens or "So many percent of the training rows are at most that long."
    figures = table(head, lines, unbroken=True), element("p", about, class_="soft")
    yield _Part("Lengths", "Lengths", [element("div", *cards, class_="charts"), *figures])


def _bars(lengths: Lengths, most: int | None) -> Bars:
    in_tokens = lengths.unit == "tokens" and lengths.what == "row"
    limit = Limit(most, f"max_length {most:,}") if in_tokens and most is not None else None
    median, longest = lengths.percentiles["50"], lengths.percentiles["100"]
    told = f"median {median:,}, longest {longest:,}"
    if limit is not None and limit.value > lengths.histogram.edges[-1]:
        told += f", max_length {most:,}"
    title = f"{lengths.what.capitalize()} in {lengths.unit}"
    return Bars(title, lengths.unit, lengths.histogram.edges, lengths.histogram.counts, told, limit)


def _tokens(tokens: TokenFigures | None) -> Iterator[_Part]:
    if tokens is None or not tokens.tokens:
        return
    padded = round(tokens.tokens * tokens.padding_sorted / (1 - tokens.padding_sorted))
    parts = [
        ("learned", tokens.learned, "a"),
        ("given, not learned" if tokens.learned else "given", tokens.tokens - tokens.learned, "b"),
        ("padding", padded, "e"),
    ]
    title = f"What the model computes: {tokens.tokens + padded:,} positions an epoch"
    yield _Part("Tokens", title, [stacked(parts), element("p", "; ".join(_facts(tokens)), ".", class_="soft")])


def _facts(tokens: TokenFigures) -> Iterator[str]:
    cut = f", {tokens.cut_answers:,} of them lose a part of what is learned" if tokens.cut_answers else ""
    if tokens.truncated:
        yield f"max_length is {tokens.max_length:,}: {plural(tokens.truncated, 'row is', 'rows are')} cut{cut}"
    else:
        yield f"max_length is {tokens.max_length:,} and cuts no row"
    if tokens.dropped:
        yield f"{tokens.dropped:,} are dropped, which would lose too much of it"
    yield (
        f"{tokens.steps:,} steps of {tokens.batch_rows:,} rows"
        if tokens.steps
        else f"{tokens.batch_rows:,} rows a step"
    )
    yield f"rows of like length are computed together; in random order {tokens.padding:.1%} would be padding"


def _shares(inspection: Inspection) -> Iterator[_Part]:
    found: list[tuple[str, Mapping[str, int]]] = [
        ("Labels", inspection.labels),
        ("Languages", inspection.languages),
        ("Layouts", inspection.layouts),
    ]
    cards = [
        element("div", element("h3", title), ranked(counts), class_="card ranked") for title, counts in found if counts
    ]
    if cards:
        yield _Part(
            "Labels, languages, layouts" if inspection.labels else "Languages, layouts",
            "What the rows are",
            [element("div", *cards, class_="charts")],
        )


STYLE = """
:root{--bad:#8f1d14;--bad-back:#fbe4e1;--note:#274b73;--note-back:#e4edf7}
@media(prefers-color-scheme:dark){:root{--bad:#ffaaa2;--bad-back:#421914;--note:#a9cdf5;--note-back:#1a2c41}}
nav{margin-bottom:14px}
nav a{color:var(--note);margin-right:16px}
.chip{margin:0 6px 10px 0}
.chip.error{color:var(--bad);background:var(--bad-back)}
.chip.warning{color:var(--warn);background:var(--warn-back)}
.chip.note{color:var(--note);background:var(--note-back)}
.findings{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:10px;align-items:start}
.finding{margin:0;padding:10px 14px;min-width:0;border-radius:4px;background:var(--card);border:1px solid var(--grid);
border-left:4px solid var(--warn)}
.finding.error{border-left-color:var(--bad)}
.finding.note{border-left-color:var(--note)}
.finding .chip{margin-bottom:4px}
.finding p{margin:0 0 4px;overflow-wrap:anywhere}
.finding summary{overflow-wrap:anywhere}
.places{max-height:14em;overflow:auto}
code{font:13px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}
.examples{margin:6px 0 0;padding:0;list-style:none}
.examples li{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace;background:var(--page);border-radius:4px;
padding:2px 8px;margin-top:4px;overflow-wrap:anywhere}
.charts{margin-bottom:14px}
"""
