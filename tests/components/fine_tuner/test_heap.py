"""Freed memory stays with the process: seen in the page faults that the kernel counts."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import resource, sys, torch
from furrow.components.fine_tuner.pytorch.engine import heap
if sys.argv[1] == "keep" and not heap.keep_freed_memory():
    print(-1)
    sys.exit()
def step():
    kept = [torch.ones(10_000_000) for _ in range(2)]  # 40 MB each
    del kept
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
heap.trim()
"""


def faults(how):
    found = subprocess.run([sys.executable, "-c", CODE, how], capture_output=True, text=True, check=True)
    return int(found.stdout)


def test_memory_that_is_freed_at_every_step_is_not_fetched_from_the_system_again():
    kept = faults("keep")
    if kept < 0:
        pytest.skip("not glibc")
    assert kept < faults("as it was") / 4  # a heap that still grows may fetch a tensor or two
