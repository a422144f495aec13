"""What every test may use: the command line, in this process or in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, settings

from furrow.cli import main

# A machine that has other work to do is no fault of the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


# `make test &` in a script starts with SIGINT ignored, as would every command that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes name no test: a gzip file holds the second of its making, and each worker must collect the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True, scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What Furrow keeps for the next run, and how much memory it found, goes nowhere near the home of who tests."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def trl() -> SimpleNamespace:
    """TRL's trainers and what they read: an independent reference. Importing them takes ten seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of them live in trl.experimental, which says so
        import datasets
        from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
        from trl.experimental.cpo import CPOConfig, CPOTrainer
        from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    datasets.disable_progress_bars()
    names = (DPOConfig, DPOTrainer, KTOConfig, KTOTrainer, CPOConfig, CPOTrainer, ORPOConfig, ORPOTrainer)
    return SimpleNamespace(Dataset=datasets.Dataset, **{name.__name__: name for name in names})


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def furrow(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Ended]]:
    """`furrow("strategies", "list")` runs the command line in this process, from the checkout."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # as the command line does, but undone afterwards
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = [signal.getsignal(number) for number in numbers]

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)
        shown = capsys.readouterr()
        return Ended(int(ended.value.code or 0), shown.out, shown.err)

    yield run


@pytest.fixture
def fresh_python() -> Callable[..., Ended]:
    """`fresh_python("cli.py", "--help")` runs a new interpreter from the checkout; `path` comes first in PYTHONPATH."""

    def run(*arguments: str | Path, path: Sequence[Path] = ()) -> Ended:
        folders = [*map(str, path), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": os.pathsep.join(folders)}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
        return Ended(done.returncode, done.stdout, done.stderr)

    return run
