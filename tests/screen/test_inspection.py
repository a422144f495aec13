"""What an inspection says on the screen: lines in a pipe, a picture on a terminal, one object as JSON."""

from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from furrow.components.plain_text import printable
from furrow.screen import inspection as screen
from furrow.stages.data.inspection.findings import (
    Finding,
    Histogram,
    Inspection,
    Lengths,
    RowFigures,
    TokenFigures,
)

EVIL = "\x1b]52;c;ZXZpbA==\x07[bold red]b[/]\nerror: forged"
PLACES = [f"a.jsonl:{number}" for number in range(1, 9)]


def inspected(text="plain", findings=()):
    percentiles = {"0": 2, "5": 3, "25": 6, "50": 9, "75": 12, "95": 17, "99": 18, "100": 19}
    lengths = Lengths("row", "tokens", 72, 9.0, percentiles, Histogram([0.0, 11.0, 22.0], [3, 6]))
    tokens = TokenFigures(10, 60, 24, 2, 1, 1, 0.5, 0.25, 4, 2)
    rows = RowFigures(14, 1, 2, 3, 6, 2)
    return Inspection(text, [text], rows, {text: 6}, {"en": 5, "de": 1}, {}, [lengths], tokens, "", list(findings))


FINDINGS = [
    Finding("leakage", "error", "8 rows are on both sides", PLACES, "remove_duplicates: exact"),
    Finding("languages", "note", "two languages", []),
]


@pytest.fixture
def drawn(monkeypatch):
    file = io.StringIO()
    terminal = Console(file=file, force_terminal=True, width=90, highlight=False, color_system="truecolor")
    monkeypatch.setattr(screen, "console", lambda: terminal)
    return file


def test_in_a_pipe_each_figure_and_each_finding_is_a_line(capsys):
    screen.show_inspection(inspected(findings=FINDINGS), as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert "rows: 14 read: 6 to learn, 2 to evaluate on" in lines
    assert "left out: 1 bad, 2 dropped by filter_quality, 3 duplicates" in lines
    assert "language: en 5 (83.3%), de 1 (16.7%)" in lines
    assert "tokens: 60 an epoch, 24 learned (40.0%)" in lines
    assert lines[-3:] == [
        "error: leakage: 8 rows are on both sides (a.jsonl:1, 2, 3, 4, 5 and 3 more) -> remove_duplicates: exact",
        "note: languages: two languages",
        "1 error, 1 note",
    ]


def test_as_json_every_row_of_every_finding_is_there(capsys):
    screen.show_inspection(inspected(findings=FINDINGS), as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["event"] == "inspected"
    assert said["findings"][0]["where"] == PLACES and said["findings"][0]["count"] == 8
    assert said["rows"]["train"] == 6 and said["lengths"][0]["histogram"]["counts"] == [3, 6]


def test_on_a_terminal_the_lengths_are_bars_and_what_is_beyond_max_length_is_red(drawn):
    screen.show_inspection(inspected(findings=FINDINGS), as_json=False)
    lines = drawn.getvalue()
    assert "\x1b[34m" + "█" * 20 in lines and "\x1b[31m" + "█" * 40 in lines
    assert "→ remove_duplicates: exact" in lines


def test_nothing_found_is_said(capsys):
    screen.show_inspection(inspected(), as_json=False)
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to warn of"


def test_orders_of_the_data_are_not_obeyed(drawn, capsys):
    hostile = inspected(EVIL, [Finding(EVIL, "error", EVIL, [f"{EVIL}:1"], EVIL, [EVIL])])
    screen.show_inspection(hostile, as_json=False)
    assert not set("\x07") & set(drawn.getvalue()) and "\x1b]" not in drawn.getvalue()
    assert "[bold red]b[/]" in re.sub(r"\x1b\[[0-9;]*m", "", drawn.getvalue())
    assert "\nerror: forged" not in drawn.getvalue()
    screen.show_inspection(hostile, as_json=True)
    said = capsys.readouterr().out
    assert printable(said) == said and said.count("\n") == 2  # the summary, and the object


def test_many_bins_become_a_dozen_lines_that_count_the_same():
    edges, counts = screen._coarser(Histogram([float(edge) for edge in range(41)], list(range(40))))
    assert len(counts) <= 12 and sum(counts) == sum(range(40)) and edges[:2] == [0.0, 4.0]
