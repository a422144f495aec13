from pathlib import Path

import pytest

from benchmarks.run import _failure
from benchmarks.told import ROOT, published
from benchmarks.watch import Watched


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"OSError: no such file: '{ROOT}/.bench/work/rows.jsonl'", "no such file: '…/.bench/work/rows.jsonl'"),
        (f"OSError: {ROOT} is full", "OSError: … is full"),
        (f"cannot read {Path.home() / 'secret' / 'a.yaml'}", "cannot read …/a.yaml"),
        ('File "/opt/some/where/model.py", line 3', 'File "…/model.py", line 3'),
        ("ERROR: no index at git+https://me:word@index.example:8080/simple/ (404)", "no index at <address> (404)"),
        ("ERROR: HTTPConnectionPool(host='index.example', port=80): timed out", "(host=<address>, port=80): timed"),
        ("ValueError: 3/4 of it, and/or nothing", "ValueError: 3/4 of it, and/or nothing"),
    ],
)
def test_what_a_program_said_is_published_without_folders_and_addresses(said, kept):
    assert kept in published(said)
    assert all(place not in published(said) for place in (str(ROOT), str(Path.home()), "index.example"))


def test_a_failure_is_recorded_without_the_folders_of_this_machine():
    failure = _failure(Watched(exit_code=1, last_lines=[f"ValueError: {ROOT}/docs is missing"]))
    assert failure == "ended with 1: ValueError: …/docs is missing"
