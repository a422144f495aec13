"""Runs on hostile data, labels and names: nothing of them orders a terminal, a browser or a Markdown reader about."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
import yaml
from markdown_it import MarkdownIt
from rich.console import Console

from furrow.components.plain_text import printable

ORDERS = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202eevil\u2066\rover\x08"
MARKUP = "[bold red]b[/] <script>x</script><img src=x onerror=x> | ``` ![i](http://x/i.png) [l](javascript:x) &lt; $x$"
HOSTILE = f"{ORDERS}{MARKUP}\nerror: forged\n# heading"
SAMPLES = [{"prompt": f"{HOSTILE} {number}", "completion": f"{number} {HOSTILE}"} for number in range(8)]
BAD = [{HOSTILE: HOSTILE}, {"messages": [{"role": HOSTILE, "content": HOSTILE}]}]
LABELS = [{"text": f"{HOSTILE} {number}", "label": f"{number % 2} {HOSTILE}"} for number in range(10)]


@pytest.fixture
def hostile(strategy_file, tmp_path):
    """write(rows): a strategy whose data, name, description and run folder are hostile, and that run folder."""

    def write(rows, **config):
        data = tmp_path / "hostile.jsonl"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
        run = tmp_path / "run[bold]<b>"  # a path with control characters is refused
        file = strategy_file(
            training_args={"max_steps": 2, "output_dir": str(run), "eval_strategy": "steps", "eval_steps": 1},
            dataset={"train_file": str(data), "eval_split": 0.4, "on_bad_row": "skip", "on_faulty_data": "warn"},
            data_preprocessing={"max_length": 250, "max_input_length": 120, "max_output_length": 120},
        )
        body = yaml.safe_load(file.read_text())
        body["tiny"]["components"]["fine_tuner"]["config"] |= config
        body["tiny"] |= {"name": HOSTILE, "description": f"- {HOSTILE}"}
        file.write_text(yaml.safe_dump(body))
        return file, run

    return write


def assert_safe(text, what):
    assert printable(text) == text, (what, [hex(ord(letter)) for letter in text if printable(letter) != letter])


KINDS = pytest.mark.parametrize(
    ("rows", "config"),
    [([*SAMPLES, *BAD], {}), (LABELS, {"objective": {"type": "classification"}})],
    ids=["answers", "classes"],
)


@KINDS
def test_nothing_of_a_hostile_run_gives_orders(furrow, hostile, rows, config):
    file, run = hostile(rows, **config)
    ended = furrow("train", "--strategy-file", file, "--strategy", "tiny")
    assert ended.code == 0, ended.err
    dry = furrow("train", "--strategy-file", file, "--strategy", "tiny", "--dry-run")
    assert_safe(ended.out + ended.err + dry.out + dry.err, "screen")
    assert not re.search(r"^\s*(error: forged|# heading)", ended.out, re.MULTILINE)
    texts = {path.name: path.read_text() for path in run.iterdir() if path.is_file()}
    assert {"report.md", "report.html", "curves.svg", "strategy.yaml", "metrics.jsonl", "manifest.json"} <= set(texts)
    assert ("bad_rows.jsonl" in texts) == (not config)
    for name, text in texts.items():
        assert_safe(text, name)
    assert_inert(texts["report.html"], {"meta", "title", "style", "details", "summary"})
    ElementTree.fromstring(texts["curves.svg"])
    assert not {"script", "image", "a", "foreignObject"} & tags_of(texts["curves.svg"]).names
    rendered = MarkdownIt("commonmark").enable("table").render(texts["report.md"])
    assert_inert(rendered, {"img", "strong", "code"})
    assert tags_of(rendered).links == ["src=curves.svg"]
    assert "forged" in rendered and "<h1>heading" not in rendered and "forged</h" not in rendered
    rows_of_tables = [line for line in texts["report.md"].splitlines() if line.startswith("|")]
    assert rows_of_tables and all(line.endswith("|") for line in rows_of_tables)


class Tags(HTMLParser):
    """What a browser would act on."""

    def __init__(self):
        super().__init__()
        self.names, self.links = set(), []

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.links += [f"{name}={value}" for name, value in attrs if name in ("href", "src") or name.startswith("on")]


def tags_of(html):
    tags = Tags()
    tags.feed(html)
    return tags


PAGE = {
    *("html", "head", "body", "main", "header", "section", "article", "figure", "div", "span", "p", "pre", "hr"),
    *("h1", "h2", "h3", "b", "em", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td"),
    *("svg", "g", "text", "line", "polyline", "rect", "circle"),
}
"""Elements that do nothing."""


def assert_inert(html, more):
    tags = tags_of(html)
    assert tags.names <= PAGE | more, tags.names - PAGE - more
    assert not [link for link in tags.links if not link.startswith("src=curves")]


@KINDS
def test_on_a_terminal_its_orders_are_not_obeyed_and_its_markup_is_shown(furrow, hostile, monkeypatch, rows, config):
    drawn = io.StringIO()
    screen = Console(file=drawn, force_terminal=True, width=3000, highlight=False, color_system="truecolor")
    for module in ("console", "tables", "checks", "preview"):
        monkeypatch.setattr(f"furrow.screen.{module}.console", lambda: screen)
    file, _ = hostile(rows, **config)
    named = ("--strategy-file", file, "--strategy", "tiny")
    ended = [
        furrow("strategies", "list", "--strategy-file", file),
        furrow("strategies", "show", "tiny", "--strategy-file", file),
        furrow("train", *named, "--dry-run"),
        furrow("train", *named),
        furrow("setup", file, "--strategy", "tiny", "--verify-only"),
        furrow("complete", HOSTILE, *named),
    ]
    assert [each.code for each in ended[:4]] == [0, 0, 0, 0], [each.err for each in ended]
    for each in ended:
        assert_safe(each.out + each.err, "lines")
    shown = drawn.getvalue()
    for order in ("\x1b]52", "\x1b]8", "\x1b[2J", "\x9b", "\x07", "\x08", "\u202e", "\u2066", "\rover"):
        assert order not in shown
    assert "[bold red]b[/]" in shown
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)  # colours, and the cursor of the bar
