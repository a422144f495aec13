"""strace: which calls a process makes that change a disk, and harm done at exactly one of them."""

from __future__ import annotations

import contextlib
import functools
import re
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.faults.campaign.children import Child

CHANGING = (
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "copy_file_range", "ftruncate", "truncate",
    "fallocate",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir",
    "mkdir", "mkdirat", "fsync", "fdatasync", "sync_file_range", "msync", "flock", "chmod", "fchmod", "fchmodat",
    "utimensat",
)  # fmt: skip
OPENING = ("open", "openat", "openat2", "creat")
TRACED = (*CHANGING, *OPENING, "close")
_LINE = re.compile(r"(\d+) +(\w+)\((.*)")
_OPENED = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)")
_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
ATTACHING = 30.0
"""Seconds within which strace must have taken hold of a process that waits."""


@dataclass(frozen=True)
class Call:
    """The `nth` call of that name that a thread makes once strace looks on."""

    name: str
    nth: int
    shown: str

    @property
    def place(self) -> str:
        return f"{self.name} {self.nth}: {self.shown[:120]}"


@functools.cache
def refusal() -> str | None:
    """Why system calls cannot be watched here; None where they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        with _attached(sleeper.pid, "-e", "trace=write"):
            return None
    except RuntimeError as error:
        return f"strace may not look into a process: {error}"
    finally:
        sleeper.kill()
        sleeper.wait()
        sleeper.stdin.close()


def calls(child: Child, folder: Path, ends: str) -> list[Call]:
    """Lets a halted child go on to the mark `ends` (or its end) and lists its calls that change `folder`, in order.

    Opening counts where it may write, closing where the file was open for that.
    """
    log = child.said_in.with_suffix(".calls")
    traced = ",".join(f"?{name}" for name in TRACED)  # `?`: not every machine has each of them
    with _attached(child.pid, "-f", "-y", "-s", "80", "-e", f"trace={traced}", "-o", str(log)):
        child.go()
        child.wait()
    return list(_listed(log.read_text(encoding="utf-8", errors="replace"), str(folder), ends))


def _listed(log: str, folder: str, ends: str) -> Iterator[Call]:
    counts: Counter[tuple[str, str]] = Counter()
    written: set[str] = set()
    for line in log.splitlines():
        if f'"{ends}\\t' in line:
            return
        if (found := _LINE.match(line)) is None:
            continue
        process, name, rest = found.groups()
        counts[process, name] += 1
        if folder not in rest:
            continue
        if name in OPENING:
            if not _OPENED.search(rest):
                continue
            written.update(_DESCRIPTOR.findall(rest.rpartition("=")[2]))
        elif name == "close":
            closed = _DESCRIPTOR.findall(rest)[0]
            if closed not in written:
                continue
            written.remove(closed)
        yield Call(name, counts[process, name], rest)


def harm(child: Child, call: Call, what: str) -> None:
    """Lets a halted child go on, and does `what` (`signal=KILL`, `error=EIO`) when it makes that call."""
    with _attached(child.pid, "-f", "-e", f"trace={call.name}", "-e", f"inject={call.name}:{what}:when={call.nth}"):
        child.go()
        child.wait()


@contextlib.contextmanager
def _attached(process: int, *options: str) -> Iterator[None]:
    """strace on a process that waits; it ends with that process, or with the block."""
    extra = () if "-o" in options else ("-o", "/dev/null")
    command = ["strace", *options, *extra, "-p", str(process)]
    strace = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = b""
    try:
        deadline = time.monotonic() + ATTACHING
        while b"attached" not in said:
            if not select.select([strace.stderr], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise RuntimeError("it did not attach")
            if not (piece := strace.stderr.read1()):
                raise RuntimeError(said.decode(errors="replace").strip() or "it ended at once")
            said += piece
        yield
        with contextlib.suppress(subprocess.TimeoutExpired):
            strace.wait(timeout=5)
    finally:
        strace.terminate()
        strace.communicate()
