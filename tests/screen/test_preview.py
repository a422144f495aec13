"""Rows on the screen: with colour by style, without it by marks, as JSON whole."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from furrow.screen import preview
from furrow.stages.data.shown import Shown, Token

EVIL = "\x1b]52;c;ZXZpbA==\x07[bold red]b[/]"


def token(text, learned=False, special=False, kept=True, weight=None):
    return Token(7, text, learned, special, kept, float(learned) if weight is None else weight)


ROW = Shown(
    "qa.jsonl:1",
    "chosen",
    [token("<s>", special=True), token("Hi ", kept=False), token("you?"), token("", True), token("ja", True)],
    "a note",
)


@pytest.fixture
def drawn(monkeypatch):
    """What a terminal gets."""
    file = io.StringIO()
    screen = Console(file=file, force_terminal=True, width=300, highlight=False, color_system="truecolor")
    monkeypatch.setattr(preview, "console", lambda: screen)
    return file


def test_in_a_pipe_learned_and_cut_text_stand_between_marks(capsys):
    preview.show_rows([ROW], as_json=False)
    assert capsys.readouterr().out == (
        "\nqa.jsonl:1, chosen: 4 tokens, 2 learned, 1 cut away; a note\n<s>⟪Hi ⟫you?⟦ja⟧\n"
        "\n⟦learned⟧ given ⟪cut away⟫\n"
    )


def test_in_a_pipe_the_weight_of_a_turn_stands_before_it(capsys):
    tokens = [token("a", True, weight=0.5), token("b", True, weight=0.5), token("c"), token("d", True)]
    preview.show_rows([Shown("x:1", "", tokens)], as_json=False)
    assert "⟦×0.5 ab⟧c⟦d⟧\n" in capsys.readouterr().out


def test_as_json_every_token_has_its_id_and_what_becomes_of_it(capsys):
    preview.show_rows([ROW], as_json=True)
    row = json.loads(capsys.readouterr().out)
    assert (row["event"], row["where"], row["role"], row["note"]) == ("row", "qa.jsonl:1", "chosen", "a note")
    assert row["tokens"][1] == {
        "id": 7, "text": "Hi ", "learned": False, "special": False, "kept": False, "weight": 0.0,
    }  # fmt: skip
    assert len(row["tokens"]) == 5


def test_on_a_terminal_each_kind_has_a_colour_and_every_second_token_a_line(drawn):
    preview.show_rows([ROW], as_json=False)
    lines = drawn.getvalue()
    assert "\x1b[35m<s>" in lines and "\x1b[4;9;31mHi " in lines and "\x1b[4;32mja" in lines


def test_a_weight_that_is_not_one_is_said_where_it_begins_and_where_it_ends(drawn):
    tokens = [token("a", True, weight=0.5), token("b", True, weight=0.5), token("c"), token("d", True)]
    preview.show_rows([Shown("x:1", "", tokens)], as_json=False)
    assert drawn.getvalue().count("weight 0.5: ") == 1 and drawn.getvalue().count("weight 1: ") == 1


def test_orders_of_the_text_are_not_obeyed(drawn, capsys):
    rows = [Shown(f"{EVIL}:1", EVIL, [token(EVIL), token(EVIL, True, True)], EVIL)]
    preview.show_rows(rows, as_json=False)
    assert "\x1b]52" not in drawn.getvalue() and "\x07" not in drawn.getvalue()
    assert "[bold red]b[/]" in drawn.getvalue()
    preview.show_rows(rows, as_json=True)
    assert "\x1b" not in capsys.readouterr().out
