"""Tools that are built on transformers' Trainer and print what it logs."""

from __future__ import annotations

import re
from collections.abc import Callable

from benchmarks.systems import Mark

BEGUN = "***** Running training *****"
LOSS = re.compile(r"\{.*'loss': '?([\d.]+|nan)'?,.*'learning_rate'")


RUNTIME = re.compile(r"\{'train_runtime': '?([\d.]+)'?,")


def marks() -> Callable[[str], Mark | None]:
    """Reads its announcement, its dictionary after each step, and the summary at the end, whose `train_runtime` tells
    when the training began where a tool silences the announcement."""
    return read


def read(line: str) -> Mark | None:
    if BEGUN in line:
        return Mark("begun")
    if found := RUNTIME.search(line):
        return Mark("begun", seconds=float(found[1]))
    if found := LOSS.search(line):
        return Mark("step", float(found[1]))
    return None
