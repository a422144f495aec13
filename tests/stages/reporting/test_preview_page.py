"""Rows token by token in a browser."""

from __future__ import annotations

from html.parser import HTMLParser

from furrow.stages.data.shown import Shown, Token
from furrow.stages.preview import Preview
from furrow.stages.reporting.preview_page import preview_page, write_preview

EVIL = "</span><script>alert(1)</script>\x1b]52;c;x\x07\"' onload=x \u202e"


class Spans(HTMLParser):
    """The tokens of a page (class, title, text), and all its elements."""

    def __init__(self, page):
        super().__init__()
        self.tokens, self.names, self._open = [], set(), []
        self.headings = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data):
        if not self._open:
            return
        tag, attrs = self._open[-1]
        if tag == "span" and "title" in attrs:
            self.tokens.append((attrs["class"], attrs["title"], data))
        if tag in ("h1", "h2", "h3"):
            self.headings.append(data)


def page_of(*rows):
    return preview_page(Preview(list(rows), 10, 2, 64), "Mine")


def test_every_token_stands_on_the_page_with_its_id_and_kinds():
    tokens = [
        Token(1, "<s>", False, True, True, 0.0),
        Token(2, "Hi\n", False, False, False, 0.0),
        Token(3, "", True, False, True, 1.0),
        Token(4, "ja", True, False, True, 0.5),
    ]
    seen = Spans(page_of(Shown("qa.jsonl:1", "", tokens)))
    assert seen.tokens == [
        ("t special", "id 1, special", "<s>"),
        ("t cut", "id 2, cut", "Hi↵\n"),
        ("t learned", "id 3, learned", "▫"),
        ("t learned", "id 4, learned, weight 0.5", "ja"),
    ]
    assert seen.headings[1:] == ["qa.jsonl:1", "3 tokens · 2 learned · 1 cut away"]


def test_both_answers_of_a_pair_stand_in_one_section():
    token = Token(1, "a", True, False, True, 1.0)
    rows = [Shown("qa.jsonl:1", role, [token]) for role in ("chosen", "rejected")]
    page = page_of(*rows, Shown("qa.jsonl:2", "chosen", [token]))
    assert page.count("<section>") == 2 and page.count("<article") == 3


def test_hostile_text_stays_text_and_nothing_runs_or_is_fetched():
    page = page_of(Shown(EVIL, EVIL, [Token(1, EVIL, True, True, True, 0.25)], EVIL))
    seen = Spans(page)
    assert "script" not in seen.names
    assert seen.names <= {
        *("html", "head", "meta", "title", "style", "body", "main", "header", "section", "article", "div"),
        *("h1", "h2", "h3", "p", "span", "sup", "em"),
    }
    assert "\x1b" not in page and "\u202e" not in page and "\x07" not in page
    assert "default-src 'none'" in page


def test_the_page_is_written_whole(tmp_path):
    write_preview(Preview([], 1, 0, 8), "Mine", tmp_path / "seen.html")
    assert (tmp_path / "seen.html").read_text().endswith("</main></body></html>\n")
    assert list(tmp_path.iterdir()) == [tmp_path / "seen.html"]
