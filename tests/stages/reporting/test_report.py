"""The report says what was measured, and nothing that stands in data or comes from a model can break it."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from furrow.components.events import (
    DataPrepared,
    Evaluated,
    Resumed,
    Sampled,
    StepEnded,
    TrainingEnded,
    TrainingStarted,
    Warned,
    json_line,
)
from furrow.stages.reporting.page import Section, Table
from furrow.stages.reporting.record import read_record
from furrow.stages.reporting.report import fenced, write_report
from furrow.stages.run.folder import RunFolder
from furrow.strategies.files import load

EVIL = '</pre></td><script>alert(1)</script><img src=x onerror="y"> | a | [l](javascript:z)\n```\n# head\n````` <!-- & '
EVIL += "\x1b]52;c;x\x07"  # a terminal takes this for an order to fill the clipboard


def step(number, loss=2.0, **more):
    return StepEnded(
        step=number, epoch=0.1, loss=loss, learning_rate=1e-4, grad_norm=1.0, learned_tokens=10, total_tokens=50,
        seconds=0.5, memory_bytes=2**30, **more,
    )  # fmt: skip


EVENTS = [
    DataPrepared(
        train_rows=12, eval_rows=3, train_tokens=900, learned_tokens=300, truncated_rows=1, dropped_rows=2,
        duplicate_rows=0,
    ),
    TrainingStarted(
        total_steps=4, effective_batch_rows=2, trainable_parameters=10, total_parameters=1000, device="cpu",
        dtype="float32",
    ),
    Sampled(step=0, prompt="Why?", completion="la la", reference="Because."),
    *(step(number, 3.0 - number / 2) for number in range(1, 5)),
    Evaluated(step=2, eval_loss=1.25, eval_perplexity=3.49, seconds=1),
    Sampled(step=2, prompt="Why?", completion="Be cause", reference="Because."),
    Evaluated(step=4, eval_loss=1.5, eval_perplexity=4.48, seconds=1),
    Sampled(step=4, prompt="Why?", completion="Because of it.", reference="Because."),
    Warned(message="eval loss rose", remedy="fewer epochs"),
    TrainingEnded(step=4, best_step=2, train_loss=2.0, best_metric=1.25, seconds=65.0),
]  # fmt: skip


@pytest.fixture
def report(strategy_file, tmp_path):
    """report(events, …) -> (Markdown, HTML) of a run that noted these events."""

    def write(events, sections=(), lines=None, name="tiny", **monitoring):
        strategy = load("tiny", strategy_file(name=name, monitoring=monitoring)).strategy
        run = RunFolder(tmp_path / "run")
        run.path.mkdir(exist_ok=True)
        run.metrics.write_text(lines if lines is not None else "".join(json_line(event) + "\n" for event in events))
        run.strategy.write_text("tiny: {}\n")
        run.write_manifest({"versions": {"torch": "2"}})
        write_report(run, strategy, sections)
        return run.report.read_text(encoding="utf-8"), run.html_report.read_text(encoding="utf-8")

    return write


class Page(HTMLParser):
    """The elements of a page that is well formed, and its text."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_both_pages_hold_the_figures_the_findings_and_the_answers_of_the_weights_that_were_kept(report):
    markdown, html = report(EVENTS)
    text = " ".join(Page(html).text)
    for page in (markdown, text):
        for said in ("1.2500", "3.490", "1 min 5 s", "1.00 GiB", "100", "10 of 1,000 (1.0%)", "300 (33%)"):
            assert said in page, said
        for said in ("eval loss rose", "fewer epochs", "la la", "Be cause", "Because.", "torch"):
            assert said in page, said
        assert "Because of it." not in page  # of step 4; the weights of step 2 were kept
    assert "![curves of the run](curves.svg)" in markdown and html.count("<svg") == 6


def test_a_run_without_findings_says_so_and_one_without_metrics_too(report):
    quiet = [event for event in EVENTS if not isinstance(event, Warned)]
    assert all("No rule found anything to warn of" in page for page in report(quiet))
    assert all("track_training_metrics" in page for page in report([], track_training_metrics=False))
    for page in report([]):  # they were asked for
        assert "holds no step" in page and "(`monitoring.track_training_metrics: false`)" not in page


def test_where_no_rule_was_asked_none_is_said_to_have_found_nothing(report):
    quiet = [event for event in EVENTS if not isinstance(event, Warned)]
    for page in report(quiet, diagnostics=False):
        assert "No rule was asked" in page and "No rule found" not in page
    assert all("eval loss rose" in page for page in report(EVENTS, diagnostics=False))


def test_the_time_of_a_resumed_run_is_that_of_all_its_processes(report):
    first, rest = EVENTS[:4], EVENTS[6:]  # two steps of half a second were gone on from
    events = [*first, step(2), Resumed(step=2, path="c"), step(3), step(4), *rest]
    assert all("1 min 7 s" in page for page in report(events))  # 65 s, 2 · 0.5 s, and an evaluation of 1 s


def test_the_html_fetches_nothing_and_runs_nothing(report):
    _, html = report(EVENTS)
    page = Page(html)
    assert not {"script", "link", "iframe", "img", "object", "form"} & set(page.tags)
    assert not [value for _, name, value in page.attributes if name in ("src", "href") or name.startswith("on")]
    assert "url(" not in html and "@import" not in html and "default-src 'none'" in html


def test_nothing_that_data_or_model_say_becomes_markup(report):
    """Prompts, answers, warnings, the strategy's name and the tables of a caller: all with the worst text."""
    events = [
        replace(event, prompt=EVIL, completion=EVIL, reference=EVIL) if isinstance(event, Sampled) else event
        for event in EVENTS
    ]
    events.append(Warned(message=EVIL, remedy=EVIL))
    name = "x" + EVIL.replace("\x1b", "").replace("\x07", "")  # YAML holds no control characters
    sections = [Section(EVIL, [Table((EVIL, "b"), [(EVIL, 1), (EVIL, 2)])])]
    markdown, html = report(events, sections, name=name)
    page, harmless = Page(html), Page(report(EVENTS, [Section("t", [Table(("a", "b"), [("c", 1), ("d", 2)])])])[1])
    assert not {"script", "img"} & set(page.tags)
    assert page.tags.count("td") == harmless.tags.count("td") and page.tags.count("h2") == harmless.tags.count("h2")
    assert not {"\x1b", "\x07"} & set(markdown + html)
    outside = outside_of_fences(markdown)
    assert "<script" not in outside.replace("\\<script", "") and "[l](" not in outside.replace("\\[l\\](", "")
    assert [line for line in outside.splitlines() if line.startswith("# ")] == [outside.splitlines()[0]]
    rows = [line for line in outside.splitlines() if line.startswith("| ") and "alert" in line]
    assert all(line.replace("\\|", "").count("|") == 3 for line in rows) and rows


def outside_of_fences(markdown):
    """The lines that are not in a fence, which only a fence of its own length ends."""
    outside, fence = [], None
    for line in markdown.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence is None and len(ticks) >= 3:
            fence = ticks
        elif fence is not None and line == fence:
            fence = None
        elif fence is None:
            outside.append(line)
    assert fence is None
    return "\n".join(outside)


def test_a_fence_is_longer_than_any_in_its_text():
    assert fenced("a\n````\nb").splitlines()[0] == "`````" and fenced("plain", "yaml") == "```yaml\nplain\n```"


def test_classes_are_shown_with_their_confusion(report):
    events = [event for event in EVENTS if not isinstance(event, Evaluated | Sampled)]
    confusion = Evaluated(
        step=4, eval_loss=0.5, eval_perplexity=None, seconds=1, metrics={"eval_accuracy": 0.75, "eval_f1": 0.7333},
        tables={"confusion": [[1, 0], [1, 2]]},
    )  # fmt: skip
    counted = {"event": "classes_counted", "labels": ["leaf", "root"], "train_rows": [6, 6], "eval_rows": [1, 3]}
    lines = json.dumps(counted) + "\n" + "".join(json_line(event) + "\n" for event in [*events, confusion])
    markdown, html = report([], lines=lines)
    assert "| root | 1 | 2 | 0.800 |" in markdown and "| 0.750 |" in markdown
    assert html.count("<svg") == 7 and "perplexity" not in markdown.lower()


def test_a_line_that_a_kill_left_half_written_and_steps_done_again_after_a_resume(tmp_path):
    file = tmp_path / "metrics.jsonl"
    events = [step(1, 3.0), step(2, 2.9), step(3, 2.8), step(2, 2.5), step(3, 2.4), step(4, float("inf"))]
    file.write_text("".join(json_line(event) + "\n" for event in events) + '{"event": "step_en')
    record = read_record(file)
    assert [(one["step"], one["loss"]) for one in record.steps] == [(1, 3.0), (2, 2.5), (3, 2.4), (4, "inf")]
