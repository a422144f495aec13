"""Hostile payloads, tried for real in a child process under an audit hook."""

from __future__ import annotations

import pytest

from tests.faults.hostile import run
from tests.faults.hostile.run import campaign, counts


def test_the_watch_sees_what_is_executed_what_hangs_and_what_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "GRACE", 1.0)
    results = campaign(["_proof"])
    wrong = [result for result in results if not result["name"].startswith(result["ended"])]
    assert len(results) == 14 and not wrong, wrong


@pytest.mark.parametrize("quick", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_payload_is_refused_or_harmless_and_none_is_executed(quick: bool) -> None:
    results = campaign(quick=quick)
    wrong = [result for result in results if result["ended"] not in ("refused", "harmless")]
    assert not wrong, f"{counts(results)}: {wrong}"
