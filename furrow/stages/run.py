"""The run folder: where everything of one run lies, who owns it, and what it says of how it was made."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import importlib.metadata
import json
import os
import platform
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import furrow
from furrow.components.errors import RequestError
from furrow.components.model_folder import STRATEGY_FILE
from furrow.components.publish import make_folder, publish_text, remove

OWN = (
    STRATEGY_FILE,
    "manifest.json",
    "metrics.jsonl",
    "tensorboard",
    "checkpoints",
    "final_model",
    "exports",
    "report.md",
    "loss.png",
)
"""What Furrow writes into a run folder; `--overwrite` removes these and nothing else."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run. Making one touches nothing; `claim` does."""

    path: Path

    @property
    def strategy(self) -> Path:
        return self.path / STRATEGY_FILE

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def final_model(self) -> Path:
        return self.path / "final_model"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def report(self) -> Path:
        return self.path / "report.md"

    def refuse_finished(self, overwrite: bool) -> None:
        """Raises RequestError if an earlier run lies here and may not be replaced."""
        earlier = [name for name in OWN if (self.path / name).exists()]
        if earlier and not overwrite:
            raise RequestError(
                f"{self.path} holds an earlier run ({', '.join(earlier)})",
                where="training_args.output_dir",
                remedy="choose another --output-dir, or say --overwrite to replace it",
            )

    @contextlib.contextmanager
    def claim(self, *, overwrite: bool) -> Iterator[None]:
        """Owns the folder for the length of the block: one process at a time, by a lock that dies with its owner.

        With `overwrite`, an earlier run is put aside, and is removed only when this one has its final model; if this
        one fails before, the earlier one is put back. A run that saved no weights leaves nothing.
        Raises RequestError that names the holder, or the earlier run, or a folder that cannot be written to.
        """
        made = not self.path.exists()
        make_folder(self.path)
        lock = self.path / ".lock"
        with lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not lock.exists() or lock.stat().st_ino != os.fstat(file.fileno()).st_ino:
                    raise BlockingIOError  # its owner just took the file along; somebody may hold a new one
            except BlockingIOError:
                file.seek(0)
                raise RequestError(
                    f"{self.path} is in use by {file.read().strip() or 'another process'}",
                    remedy="wait for it, or choose another --output-dir",
                ) from None
            try:
                file.truncate(0)
                file.write(f"process {os.getpid()} on {socket.gethostname()} since {_now()}")
                file.flush()
                self._restore()  # what a run that was killed had put aside
                self.refuse_finished(overwrite)
                self._put_aside()
                try:
                    yield
                finally:
                    self._restore()
                    if not (self.checkpoints.exists() or self.final_model.exists()):
                        _clear(self.path)  # nothing was saved: what is left would only refuse the next try
            finally:
                lock.unlink(missing_ok=True)
                if made and not any(self.path.iterdir()):
                    self.path.rmdir()

    @property
    def _aside(self) -> Path:
        return self.path / ".earlier"

    def _put_aside(self) -> None:
        """Moves an earlier run out of the way."""
        for name in OWN:
            if (self.path / name).exists():
                self._aside.mkdir(exist_ok=True)
                (self.path / name).rename(self._aside / name)

    def _restore(self) -> None:
        """Puts the earlier run back, unless the newer one has its final model: then the earlier one goes."""
        if not self._aside.exists():
            return
        if not self.final_model.exists():
            _clear(self.path)
            for file in self._aside.iterdir():
                file.rename(self.path / file.name)
        remove(self._aside)

    def write_manifest(self, facts: dict[str, Any]) -> None:
        """Publishes manifest.json: what was run with what, for somebody who wants to run it again."""
        publish_text(self.manifest, json.dumps({"furrow": furrow.__version__, **facts}, indent=2) + "\n")

    def read_manifest(self) -> dict[str, Any]:
        """What was written; empty when there is none."""
        return json.loads(self.manifest.read_text()) if self.manifest.is_file() else {}


def _clear(folder: Path) -> None:
    for name in OWN:
        remove(folder / name)


def versions() -> dict[str, str]:
    """Versions of Python, the platform and the packages that decide what a run computes."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in ("torch", "transformers", "peft", "accelerate", "tokenizers", "gguf", "llama-cpp-python"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
