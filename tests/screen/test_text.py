"""What a terminal could take for an order never reaches it, whoever says it."""

from __future__ import annotations

import io
import sys
import unicodedata

import pytest
from rich.console import Console

from furrow.components.checks import Check
from furrow.components.events import Noted, Sampled, StageStarted, StepEnded, TrainingStarted, Warned
from furrow.screen.sentences import describe
from furrow.screen.subscribers import _Live, showing
from furrow.screen.text import message, one_line, printable

CONTROLS = [chr(number) for number in (*range(0x20), *range(0x7F, 0xA0)) if chr(number) not in "\n\t"]
BIDI = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
INVISIBLE = list("\u00ad\u200b\u2060\ufeff\u180e\U000e0001\U000e0041\u2028\u2029\ud800\udfff")
ATTACKS = [
    "\x1b]52;c;ZXZpbA==\x07",  # sets the clipboard
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",  # clears the screen
    "\x1b[31mred",
    "\x9b31mred",  # the same in one byte of C1
    "\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\",  # asks the terminal to type
    "over\rwritten",
    "\x08\x08\x08back",
    "\x1b[6n",
]


@pytest.mark.parametrize("letter", CONTROLS + BIDI + INVISIBLE, ids=lambda letter: f"U+{ord(letter):04X}")
def test_no_character_gets_through_that_does_something_instead_of_showing_something(letter):
    for safe in (printable, one_line, message):
        assert safe(f"a{letter}b") == "a\N{REPLACEMENT CHARACTER}b"


def test_every_other_character_stays_as_it_is():
    taken_out = ("Cc", "Cf", "Cs", "Zl", "Zp")
    letters = map(chr, range(sys.maxunicode + 1))
    kept = "".join(one for one in letters if one in "\n\t\u200c\u200d" or unicodedata.category(one) not in taken_out)
    assert len(kept) > 1_000_000 and printable(kept) == kept


@pytest.mark.parametrize("text", ["café", "नमस्ते", "می‌خواهم", "👩‍👩‍👧", "line\n\tnext", "🌱"])
def test_writing_that_needs_joiners_is_left_alone(text):
    assert printable(text) == text


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_sequence_survives(attack):
    assert not set(printable(attack)) & {*CONTROLS, *BIDI}


def test_one_line_is_one_line_and_a_long_one_is_cut():
    assert one_line("a\nerror: forged\tb") == "a error: forged b"
    assert len(one_line("x" * 10_000_000)) == 2000
    assert [len(line) for line in message("x" * 5000 + "\nshort").split("\n")] == [2000, 5]


HOSTILE = "".join(ATTACKS) + "\u202e[bold red]evil[/]\n done: forged"


@pytest.mark.parametrize(
    "event",
    [
        Noted(message=HOSTILE),
        Warned(message=HOSTILE, remedy=HOSTILE),
        Sampled(step=1, prompt=HOSTILE, completion=HOSTILE),
        StageStarted(stage=HOSTILE),
    ],
)
def test_an_event_is_told_in_one_safe_line(event):
    told = describe(event)
    assert not set(told) & {*CONTROLS, *BIDI, "\n"}


def test_on_a_terminal_nothing_is_read_as_markup():
    file = io.StringIO()
    with showing(Console(file=file, force_terminal=True, width=3000, highlight=False), as_json=False) as show:
        assert isinstance(show, _Live)
        show(Warned(message="[bold red]evil[/] [link=http://evil]x[/link]"))
        show(
            TrainingStarted(
                total_steps=2, effective_batch_rows=1, trainable_parameters=1, total_parameters=1, device="[red]d[/]",
                dtype="f",
            )
        )  # fmt: skip
        metrics = {"reward": 1.0}
        show(
            StepEnded(
                step=1, epoch=0.5, loss=1.0, learning_rate=1.0, grad_norm=1.0, learned_tokens=1, total_tokens=1,
                seconds=1.0, metrics=metrics,
            )
        )  # fmt: skip
        show._task("[bold red]stage[/]", 1)
        show._progress.refresh()
    shown = file.getvalue()
    for literal in ("[bold red]evil[/]", "[link=http://evil]x[/link]", "[red]d[/]", "[bold red]stage[/]"):
        assert literal in shown
    assert "\x1b]8;" not in shown


def test_the_answers_of_setup_are_told_safely(capsys):
    from furrow.screen.checks import show_checks

    show_checks([Check("base\x1b[31m model", "failed", HOSTILE, HOSTILE)], as_json=False)
    shown = capsys.readouterr().out
    assert not set(shown) & {*CONTROLS, *BIDI} and len(shown.splitlines()) == 2


def test_what_libraries_log_and_warn_of_is_told_safely(fresh_python):
    program = (
        "import logging, warnings\n"
        "from furrow.screen.quiet import quieten_libraries\n"
        "quieten_libraries(); quieten_libraries()\n"
        "logging.getLogger('x').error('model %s', 'a\\x1b[31m/b')\n"
        "logging.getLogger('x').error('100%% of it\\x07')\n"
        "logging.getLogger('x').error('wrong %d', 'x')\n"
        "warnings.warn('model \\x1b]52;c;x\\x07')\n"
    )
    ended = fresh_python("-c", program)
    assert ended.code == 0 and not set(ended.err) & {*CONTROLS, *BIDI}
    assert "model a\N{REPLACEMENT CHARACTER}[31m/b" in ended.err and "100%% of it" in ended.err


def test_what_is_wrong_with_the_command_line_or_the_program_is_told_safely(fresh_python, furrow):
    ended = furrow("train", "--strategy", "x", "--\x1b[31mevil")
    assert ended.code == 2 and "evil" in ended.err and not set(ended.err) & {*CONTROLS, *BIDI}
    program = (
        "import furrow.cli, click\n"
        "@furrow.cli.cli.command()\n"
        "def fault(): raise ValueError('\\x1b[2J\\u202e')\n"
        "furrow.cli.main(['fault'])\n"
    )
    ended = fresh_python("-c", program)
    assert ended.code == 1 and "Traceback" in ended.err and not set(ended.err) & {*CONTROLS, *BIDI}
