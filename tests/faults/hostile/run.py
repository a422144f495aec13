"""Tries every payload in one child process, under an audit hook, with a marker file that must not appear.

`python -m tests.faults.hostile.run [TOPIC …] [--quick]` prints a line for each that did harm, and the counts as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from furrow.components.errors import FurrowError
from tests.faults.hostile.payload import Payload

ROOT = Path(__file__).parents[3]
TOPICS = tuple(
    sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py") if file.stem not in ("payload", "run"))
)
"""Modules beside this one, each with `PAYLOADS`, and `NEEDS` where heavy modules are to be imported beforehand."""
SHARE = 3
"""Every third of the cheap ones is tried in `make test`: all of them take 50 s of computing."""
GRACE = 5.0
"""Seconds beyond its limit after which the child is killed: an alarm does not interrupt what runs in C."""
STARTING = 180.0
"""Seconds for the child to import what the topics need: torch and transformers come from a cold disk."""
ENDINGS = ("refused", "harmless", "executed", "hung", "crashed")
SPAWNING = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn",
            "subprocess.Popen", "socket.connect", "socket.sendto", "pickle.find_class"}  # fmt: skip
"""Audit events that no payload may cause."""


def payloads(topics: Sequence[str] = TOPICS, *, quick: bool = False) -> list[tuple[str, Payload]]:
    """(topic, payload), in order; with `quick` a share of the cheap ones of each topic."""
    found = []
    for topic in topics:
        all_ = importlib.import_module(f"tests.faults.hostile.{topic}").PAYLOADS
        wanted = [each for each in all_ if each.quick][::SHARE] if quick else all_
        found += [(topic, each) for each in wanted]
    return found


def campaign(topics: Sequence[str] = TOPICS, *, quick: bool = False) -> list[dict[str, Any]]:
    """How each ended: `{"topic", "name", "ended", "said", "seconds"}`, `ended` being one of ENDINGS."""
    wanted, results = payloads(topics, quick=quick), []
    while len(results) < len(wanted):
        results += _one_child(wanted, len(results), [*topics, *(["--quick"] if quick else [])])
    return results


def counts(results: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many were tried, and how many ended in each way."""
    ended = Counter(result["ended"] for result in results)
    return {"tried": len(results)} | {name: ended[name] for name in ENDINGS}


def _one_child(wanted: list[tuple[str, Payload]], first: int, arguments: list[str]) -> list[dict[str, Any]]:
    """Results from number `first` on. The child is killed at the first that hangs in C, and that one ends the list."""
    results: list[dict[str, Any]] = []
    reading, writing = os.pipe()
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HOME": home, "HF_HOME": home, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1",
                       "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}  # fmt: skip
        command = [sys.executable, "-m", "tests.faults.hostile.run", *arguments]
        child = subprocess.Popen([*command, f"--child={writing}:{first}"], cwd=ROOT, env=environment,
                                 pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
        os.close(writing)
        limit = STARTING
        with os.fdopen(reading) as told:
            for topic, payload in [("", None), *wanted[first:]]:
                line = _line(told.fileno(), limit)
                if payload is not None:
                    results.append(json.loads(line) if line else _lost(topic, payload, child))
                if not line:
                    break
                ahead = first + len(results)
                limit = GRACE + (wanted[ahead][1].seconds if ahead < len(wanted) else 0)
        child.kill()
        said = child.communicate()[1].decode(errors="replace")
    if not results:
        raise RuntimeError(f"the child that tries payloads did not start:\n{said[-2000:]}")
    return results


def _lost(topic: str, payload: Payload, child: subprocess.Popen[bytes]) -> dict[str, Any]:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(2)  # one that died closes its end of the pipe a moment before it can be asked
    died = child.returncode is not None
    said = f"the process died with {child.returncode}" if died else f"it is at it after {payload.seconds + GRACE} s"
    return {"topic": topic, "name": payload.name, "ended": "crashed" if died else "hung", "said": said, "seconds": None}


def _line(descriptor: int, seconds: float) -> str:
    """The next line of the child, byte by byte; empty where it ended, or where none came in time."""
    import select

    line, end = bytearray(), time.monotonic() + seconds
    while not line.endswith(b"\n"):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        byte = os.read(descriptor, 1) if ready else b""
        if not byte:
            return ""
        line += byte
    return line.decode()


class _TooLong(BaseException):
    """The alarm rang."""


class _Watch:
    """The audit hook, for one payload at a time. It cannot be taken off again, so it lives in a child."""

    def __init__(self) -> None:
        self.payload: Payload | None = None
        self.seen: list[str] = []
        self._marker = self._folder = ""
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def over(self, payload: Payload, folder: Path, marker: Path) -> Iterator[None]:
        self.seen, self._marker, self._folder = [], str(marker), str(folder)
        self.payload = payload
        try:
            yield
        finally:
            self.payload = None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        payload = self.payload
        if payload is None:
            return
        if event in SPAWNING:
            if event not in payload.allows:
                self.seen.append(f"{event}{arguments!r:.200}")
        elif event == "compile":
            source, file = arguments[0], arguments[1]
            text = source.decode(errors="replace") if isinstance(source, bytes) else source
            # Jinja turns a template into Python, whose texts stand in it as texts
            if isinstance(text, str) and self._marker in text and file != "<template>":
                self.seen.append(f"compile {file}")
        elif event == "exec":
            name = getattr(arguments[0], "co_filename", "")
            if isinstance(name, str) and name.startswith(self._folder):
                self.seen.append(f"exec of {name}")
        elif event == "marshal.loads" and isinstance(arguments[0], bytes) and self._marker.encode() in arguments[0]:
            self.seen.append("marshal.loads")
        elif event == "import" and str(arguments[0]).rpartition(".")[2].startswith("planted"):
            self.seen.append(f"import {arguments[0]}")
        elif event == "open" and str(arguments[0]) == self._marker:
            self.seen.append("the marker opened")


def _child(wanted: list[tuple[str, Payload]], descriptor: int) -> None:
    def ring(number: int, frame: object) -> None:
        raise _TooLong

    platform.processor()  # runs a command, the first time somebody asks
    watch = _Watch()
    with os.fdopen(descriptor, "w", buffering=1) as told, tempfile.TemporaryDirectory() as place:
        print("ready", file=told)
        for topic, payload in wanted:
            folder, marker = Path(place, "work"), Path(place, "marker")
            folder.mkdir()
            began = time.monotonic()
            environment, signals = dict(os.environ), signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGALRM, ring)
            ended, said = _attempt(watch, payload, folder, marker)
            signal.signal(signal.SIGTERM, signals)
            os.environ.clear()
            os.environ.update(environment)
            if marker.exists() or watch.seen:
                ended, said = "executed", "; ".join(watch.seen) or "the marker is there"
            result = {"topic": topic, "name": payload.name, "ended": ended, "said": said[:1000]}
            print(json.dumps({**result, "seconds": round(time.monotonic() - began, 2)}), file=told)
            os.chdir(ROOT)
            marker.unlink(missing_ok=True)
            shutil.rmtree(folder)


def _attempt(watch: _Watch, payload: Payload, folder: Path, marker: Path) -> tuple[str, str]:
    os.chdir(folder)
    try:
        with _bounded(payload.bytes):
            try:
                signal.setitimer(signal.ITIMER_REAL, payload.seconds)
                with watch.over(payload, folder, marker):
                    said = payload.attempt(folder, marker)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    except FurrowError as error:
        expected = re.search(payload.because, str(error))
        return "refused" if expected else "crashed", str(error)
    except _TooLong:
        return "hung", f"it was at it after {payload.seconds} s"
    except BaseException as error:
        return "crashed", f"{type(error).__name__}: {error}"
    return ("harmless", said) if said else ("crashed", "it ended without a word")


@contextlib.contextmanager
def _bounded(more: int) -> Iterator[None]:
    """No more address space than there is now, and `more` bytes."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        now = int(file.read().split()[0]) * resource.getpagesize()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def main(arguments: Sequence[str]) -> int:
    quick = "--quick" in arguments
    topics = [name for name in arguments if not name.startswith("--")] or list(TOPICS)
    child = next((name for name in arguments if name.startswith("--child=")), None)
    if child is not None:
        descriptor, _, first = child.removeprefix("--child=").partition(":")
        wanted = payloads(topics, quick=quick)
        for topic in topics:
            for name in getattr(sys.modules[f"tests.faults.hostile.{topic}"], "NEEDS", ()):
                importlib.import_module(name)
        _child(wanted[int(first) :], int(descriptor))
        return 0
    results = campaign(topics, quick=quick)
    for result in results:
        if "--all" in arguments or result["ended"] not in ("refused", "harmless"):
            print(json.dumps(result))
    told = counts(results)
    print(json.dumps(told))
    return 1 if told["executed"] + told["hung"] + told["crashed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
