"""The page of an inspection: every figure and finding stands on it, nothing runs, and hostile text stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from furrow.stages.data.inspection.findings import (
    Finding,
    Histogram,
    Inspection,
    Lengths,
    RowFigures,
    TokenFigures,
)
from furrow.stages.reporting.data_page import inspection_page, write_inspection

EVIL = "</p><script>alert(1)</script><img src=x onerror=x>\x1b]52;c;x\x07\"' \u202e"


def lengths(what="row", unit="tokens", edges=(0.0, 10.0, 20.0), counts=(3, 5)):
    percentiles = {"0": 2, "5": 3, "25": 6, "50": 9, "75": 12, "95": 17, "99": 18, "100": 19}
    return Lengths(what, unit, 72, 9.0, percentiles, Histogram(list(edges), list(counts)))


def inspection(**given):
    tokens = TokenFigures(15, 60, 24, 2, 1, 1, 0.5, 0.25, 4, 2)
    known = {
        "strategy": "Mine",
        "files": ["a.jsonl"],
        "rows": RowFigures(14, 1, 2, 3, 6, 2),
        "lengths": [lengths()],
        "tokens": tokens,
    }
    return Inspection(**{**known, **given})


class Seen(HTMLParser):
    """Elements, links, texts, and the texts of each kind of element."""

    def __init__(self, page):
        super().__init__()
        self.names, self.links, self.texts, self._open = set(), [], [], []
        self.of = {}
        self.styles = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self._open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "action", "data"):
                self.links.append(value)
            if name == "style":
                self.styles.append(value)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open and self._open[-1] != "style" and data.strip():
            self.texts.append(data)
            self.of.setdefault(self._open[-1], []).append(data)

    @property
    def text(self):
        return "\n".join(self.texts)


def test_the_figures_stand_on_the_page():
    seen = Seen(inspection_page(inspection()))
    tiles = dict(zip(seen.of["span"], seen.of["b"], strict=False))
    assert seen.of["b"] == ["6", "2", "6", "60", "40.0%", "2 (33.3%)", "25.0%"], tiles
    for text in (
        "What becomes of 14 rows",
        "learned 5 (35.7%)",
        "too long 1 (7.1%)",
        "bad 1 (7.1%)",
        "duplicates removed 3 (21.4%)",
    ):
        assert text in seen.text
    assert "What the model computes: 80 positions an epoch" in seen.text  # 60 tokens are three quarters of it
    assert "padding 20 (25.0%)" in seen.text and "given, not learned 36 (45.0%)" in seen.text
    assert "max_length 15" in seen.text


def test_a_finding_says_what_where_and_how_to_mend_it():
    places = [f"data/x/a.jsonl:{number}" for number in range(1, 10)]
    finding = Finding("near_duplicates", "warning", "9 rows repeat another one", places, "remove_duplicates: near")
    seen = Seen(inspection_page(inspection(findings=[finding])))
    for text in ("1 warning", "near_duplicates", "9 rows repeat another one", "remove_duplicates: near"):
        assert text in seen.text
    assert seen.of["summary"] == ["data/…/a.jsonl:1, 2, 3, 4, 5 and 4 more"]
    assert "1, 2, 3, 4, 5, 6, 7, 8, 9" in seen.text


def test_of_a_hundred_thousand_rows_the_page_lists_two_thousand_and_says_so():
    finding = Finding("x", "note", "many", [f"a.jsonl:{number}" for number in range(1, 100_001)])
    page = inspection_page(inspection(findings=[finding]))
    assert len(page) < 60_000
    assert "and 98,000 more, which the JSON form has" in page


@pytest.mark.parametrize("findings", [[], [Finding("x", "note", "a note", [])]])
def test_without_errors_and_warnings_the_page_says_that_all_is_well(findings):
    assert "nothing to warn of" in inspection_page(inspection(findings=findings))


def test_hostile_text_stays_text_and_nothing_runs_or_is_fetched():
    finding = Finding(EVIL, "error", EVIL, [f"{EVIL}:{number}" for number in range(9)], EVIL, [EVIL])
    hostile = inspection(
        strategy=EVIL, files=[EVIL], layouts={EVIL: 1}, languages={EVIL: 2}, labels={EVIL: 3}, findings=[finding],
        lengths=[lengths(EVIL, EVIL)],
    )  # fmt: skip
    page = inspection_page(hostile)
    seen = Seen(page)
    assert not seen.names & {"script", "img", "iframe", "object", "link", "form"}
    assert all(link.startswith("#") and link[1:].isdecimal() for link in seen.links)
    assert "default-src 'none'" in page
    assert not set("\x1b\x07\u202e") & set(page)
    assert "<script>alert(1)</script>" in seen.text


def test_the_bars_of_names_are_in_proportion_and_the_rest_is_counted():
    labels = {f"class {number}": 100 - number for number in range(20)} | {"largest": 200}
    seen = Seen(inspection_page(inspection(labels=labels)))
    widths = [style for style in seen.styles if style.startswith("width")]
    assert widths[:3] == ["width:100.0%", "width:50.0%", "width:49.5%"] and len(widths) == 12
    assert "and 9 more" in seen.text


def test_without_a_tokenizer_the_page_says_why_there_are_no_tokens():
    page = inspection_page(inspection(tokens=None, no_tokens="no strategy", lengths=[lengths("row", "characters")]))
    assert "no strategy" in page and "positions an epoch" not in page and "max_length" not in page


def test_data_that_is_all_padding_free_or_empty_makes_a_page():
    empty = inspection(rows=RowFigures(0, 0, 0, 0, 0, 0), lengths=[lengths(counts=(0, 0))], tokens=None)
    assert "What becomes of 0 rows" in inspection_page(empty)


def test_the_page_is_written_whole(tmp_path):
    write_inspection(inspection(), tmp_path / "seen.html")
    assert (tmp_path / "seen.html").read_text().endswith("</main></body></html>\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "seen.html"]
