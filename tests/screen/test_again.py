"""The command that goes on with a run can be pasted, and asks for the same run."""

from __future__ import annotations

import shlex
import sys

import pytest

from furrow.cli import train
from furrow.screen.again import resume_command

ASKED = ["train", "--strategy", "tiny"]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ([], []),
        (["--overwrite"], []),
        (["--overwrite", "--json"], ["--json"]),
        (["--resume"], []),
        (["--resume", "run/checkpoints/step-00000002"], []),
        (["--resume=run/checkpoints/step-00000002", "--json"], ["--json"]),
        (["--resume", "--json"], ["--json"]),
        (["--output-dir", "a folder; rm -rf ~"], ["--output-dir", "a folder; rm -rf ~"]),
        (["--output-dir", "--overwrite", "--overwrite"], ["--output-dir", "--overwrite"]),
        (["--set", "--resume", "--set", "a=$HOME 'x'"], ["--set", "--resume", "--set", "a=$HOME 'x'"]),
        (["--output-dir=--overwrite"], ["--output-dir=--overwrite"]),
    ],
)
def test_all_is_said_again_but_what_would_begin_anew(given, left):
    said = shlex.split(resume_command(train, [*ASKED, *given]))
    assert said == ["furrow", *ASKED, *left, "--resume"]


@pytest.mark.parametrize(
    ("typed", "script"),
    [
        (["python", "-X", "dev", "cli.py"], "cli.py"),
        (["python", "/else/where/furrow"], "/else/where/furrow"),
        (["python", "-m", "furrow.cli"], "/there/furrow/cli.py"),
    ],
)
def test_the_program_is_called_as_it_was(typed, script, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script, *ASKED])
    monkeypatch.setattr(sys, "orig_argv", [*typed, *ASKED])
    assert shlex.split(resume_command(train)) == [*typed, *ASKED, "--resume"]


def test_the_installed_program_is_called_by_its_name(tmp_path, monkeypatch):
    script = tmp_path / "furrow"
    script.write_text("#!/bin/sh")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(script), *ASKED])
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, str(script), *ASKED])
    assert resume_command(train) == "furrow train --strategy tiny --resume"


def test_a_run_that_did_not_go_on_yet_is_asked_for_with_the_very_same_words():
    given = ["train", "--strategy", "tiny", "--resume", "run/checkpoints/step-00000010", "--allow-change", "optim"]
    assert shlex.split(resume_command(train, given, as_asked=True)) == ["furrow", *given]
    assert shlex.split(resume_command(train, given)) == ["furrow", *ASKED, "--resume"]
