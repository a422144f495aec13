"""The campaign of harm: a sample of it passes, and it fails where the product is broken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from furrow.components.disk.staging import Staging
from tests.faults.campaign.page import HARMS, PAGE, RESULTS, page_text
from tests.faults.campaign.results import read_results
from tests.faults.campaign.runs import litter

SAMPLE = "kills,boundaries,signals,disks,flips,locks"
"""What no other test does to a real process, and some of the rest."""
SABOTAGES = ("open door",)
"""The quickest to be seen; `make test-all` tries all."""


def test_what_is_being_made_is_litter_once_nobody_makes_it(tmp_path: Path) -> None:
    made = Staging(tmp_path, "step-00000002")
    assert litter(tmp_path) == [made.folder.name]
    made.close()
    assert litter(tmp_path) == []


def run(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, because its trials are forked, and a process with threads must not be."""
    command = [sys.executable, "-m", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_a_sample_of_all_harm_ends_as_promised(root: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    options = ("--quick", "--workers", "1", "--only", SAMPLE, "--results", str(results))
    ended = run(root, "tests.faults.campaign", *options)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    tallies = read_results(results)[1]
    assert {tally["campaign"] for tally in tallies} <= HARMS.keys()
    assert all(tally["tried"] or tally["skipped"] for tally in tallies)
    assert "# Reliability" in page_text(results)


@pytest.mark.parametrize("ways", [SABOTAGES, pytest.param((), marks=pytest.mark.slow, id="all")])
def test_a_product_that_is_broken_is_seen_to_be(ways: tuple[str, ...], root: Path) -> None:
    ended = run(root, "tests.faults.campaign.sabotage", *ways)
    assert ended.returncode == 0, ended.stdout + ended.stderr[-3000:]
    assert "not seen: none" in ended.stdout


@pytest.mark.skipif(not RESULTS.is_file(), reason="`make faults` has not run")
def test_the_page_says_what_the_results_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(RESULTS)
