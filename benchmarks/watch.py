"""Runs one process to its end and measures it from outside: what it says and when, and the memory of its tree."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.systems import Mark

EVERY = 0.25
"""Seconds between two looks at the memory of a tree: each takes some milliseconds from what is measured."""
KEPT_LINES = 15


@dataclass
class Watched:
    """What was seen. All times are seconds since the process was started."""

    exit_code: int = 0
    seconds: float = 0.0
    begun: float | None = None
    """When the first optimiser step began."""
    ended_at: list[float] = field(default_factory=list)
    """When each step ended."""
    losses: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    last_lines: list[str] = field(default_factory=list)

    @property
    def first_step_seconds(self) -> float | None:
        """From the start of the process to the end of its first optimiser step."""
        return self.ended_at[0] if self.ended_at else None

    @property
    def train_seconds(self) -> float | None:
        """From the beginning of the first step to the end of the last."""
        return self.ended_at[-1] - self.begun if self.ended_at and self.begun is not None else None


def watch(
    command: list[str],
    read: Callable[[str], Mark | None],
    *,
    folder: Path,
    environment: Mapping[str, str],
    seconds: float,
    log: Path,
) -> Watched:
    """Runs `command` in `folder`, with its output also in `log`. It is ended after `seconds`."""
    seen = Watched()
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    overdue = threading.Timer(seconds, _end_tree, [process.pid])
    overdue.start()
    done = threading.Event()
    memory = threading.Thread(target=_sample, args=(process.pid, seen, done), daemon=True)
    memory.start()
    assert process.stdout is not None
    with log.open("w", encoding="utf-8") as file:
        for line in _lines(process.stdout.fileno()):
            now = time.perf_counter() - started
            file.write(line + "\n")
            seen.last_lines = [*seen.last_lines, line][-KEPT_LINES:]
            _note(seen, read(line), now)
    _, status, usage = os.wait4(process.pid, 0)
    seen.seconds = time.perf_counter() - started
    overdue.cancel()
    done.set()
    memory.join()
    process.returncode = seen.exit_code = os.waitstatus_to_exitcode(status)
    seen.peak_bytes = max(seen.peak_bytes, usage.ru_maxrss * 1024)  # exact for one process; the samples add up a tree
    return seen


def _note(seen: Watched, mark: Mark | None, now: float) -> None:
    if mark is None:
        return
    if mark.kind == "begun" and seen.begun is None:
        seen.begun = now - mark.seconds
    if mark.kind == "step":
        seen.ended_at.append(now)
        if mark.loss is not None:
            seen.losses.append(mark.loss)


def _lines(descriptor: int):
    """Lines as they come; a carriage return, by which progress bars redraw themselves, ends one too."""
    rest = b""
    while piece := os.read(descriptor, 1 << 16):
        *lines, rest = re.split(rb"[\r\n]", rest + piece)
        for line in lines:
            if line.strip():
                yield line.decode("utf-8", "replace")
    if rest.strip():
        yield rest.decode("utf-8", "replace")


def _sample(pid: int, seen: Watched, done: threading.Event) -> None:
    while not done.wait(EVERY):
        total = 0
        for process in _tree(pid):
            try:
                total += process.memory_info().rss
            except psutil.Error:
                continue
        seen.peak_bytes = max(seen.peak_bytes, total)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _end_tree(pid: int) -> None:
    for process in reversed(_tree(pid)):
        try:
            process.kill()
        except psutil.Error:
            continue
