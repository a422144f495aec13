"""Payloads that do harm: they prove that the watch sees it. No part of the campaign."""

from __future__ import annotations

import importlib
import itertools
import marshal
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

from furrow.components.errors import FurrowError
from tests.faults.hostile.payload import Payload, code, pickled


def _unpickle(folder: Path, marker: Path) -> str:
    pickle.loads(pickled(marker))  # noqa: S301
    return "read"


def _system(folder: Path, marker: Path) -> str:
    os.system("true")
    return "called"


def _spawn(folder: Path, marker: Path) -> str:
    subprocess.run(["true"], check=False)
    return "called"


def _exec(folder: Path, marker: Path) -> str:
    exec(compile(f"x = {str(marker)!r}", "<payload>", "exec"))  # noqa: S102
    return "run"


def _planted(folder: Path, marker: Path) -> str:
    (folder / "planted_module.py").write_text("x = 1\n")
    sys.path.insert(0, str(folder))
    try:
        importlib.import_module("planted_module")
    finally:
        sys.path.remove(str(folder))
    return "imported"


def _marshal(folder: Path, marker: Path) -> str:
    marshal.loads(marshal.dumps(str(marker)))
    return "read"


def _write(folder: Path, marker: Path) -> str:
    marker.write_text(code(marker))
    return "written"


def _loop(folder: Path, marker: Path) -> str:
    while True:
        time.sleep(0.01)


def _loop_in_c(folder: Path, marker: Path) -> str:
    return str(sum(itertools.repeat(1)))


def _die(folder: Path, marker: Path) -> str:
    os.kill(os.getpid(), 9)
    return "dead"


def _gobble(folder: Path, marker: Path) -> str:
    return str(len(bytearray(2 << 30)))


def _raise(folder: Path, marker: Path) -> str:
    raise KeyError("a traceback")


def _say_nothing(folder: Path, marker: Path) -> str:
    return ""


def _refuse(folder: Path, marker: Path) -> str:
    raise FurrowError("no")


PAYLOADS = (
    Payload(name="executed: unpickle", attempt=_unpickle),
    Payload(name="executed: system", attempt=_system),
    Payload(name="executed: spawn", attempt=_spawn),
    Payload(name="executed: exec", attempt=_exec),
    Payload(name="executed: planted", attempt=_planted),
    Payload(name="executed: marshal", attempt=_marshal),
    Payload(name="executed: write", attempt=_write),
    Payload(name="hung: loop", attempt=_loop, seconds=0.2),
    Payload(name="hung: loop in C", attempt=_loop_in_c, seconds=0.2),
    Payload(name="crashed: die", attempt=_die),
    Payload(name="crashed: gobble", attempt=_gobble),
    Payload(name="crashed: raise", attempt=_raise),
    Payload(name="crashed: say nothing", attempt=_say_nothing),
    Payload(name="refused: refuse", attempt=_refuse),
)
