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
from furrow.components.checkpoint_folder import checkpoints_in
from furrow.components.errors import RequestError
from furrow.components.model_folder import STRATEGY_FILE
from furrow.components.publish import make_folder, publish_text, remove

CURVES_FILE = "curves.svg"
"""The picture of report.md."""

OWN = (
    STRATEGY_FILE,
    "manifest.json",
    "metrics.jsonl",
    "tensorboard",
    "checkpoints",
    "final_model",
    "exports",
    "report.md",
    "report.html",
    CURVES_FILE,
    "wandb",
    "mlflow",
    "comet",
)
"""What Furrow writes into a run folder; `--overwrite` removes these and nothing else."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run. Making one touches nothing; `claim` does."""

    path: Path
    resumes: bool = True
    """Whether its fine-tuner can go on from a checkpoint."""

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

    @property
    def html_report(self) -> Path:
        return self.path / "report.html"

    @property
    def unfinished(self) -> bool:
        """Whether a run lies here that can be gone on with: it has checkpoints, and never came to its end."""
        return bool(checkpoints_in(self.checkpoints)) and not self.read_manifest().get("finished", False)

    def refuse_earlier(self, overwrite: bool) -> None:
        """Raises RequestError if an earlier run lies here and may not be replaced."""
        earlier = [name for name in OWN if (self.path / name).exists()]
        if earlier and not overwrite:
            if self.unfinished and self.resumes:
                raise RequestError(
                    f"{self.path} holds an unfinished run, saved after step {max(checkpoints_in(self.checkpoints))}",
                    where="training_args.output_dir",
                    remedy="say --resume to go on with it, or --overwrite to begin anew",
                )
            raise RequestError(
                f"{self.path} holds an earlier run ({', '.join(earlier)})",
                where="training_args.output_dir",
                remedy="choose another --output-dir, or say --overwrite to replace it",
            )

    def require_unfinished(self) -> None:
        """Raises RequestError if there is no run here to go on with."""
        if not self.resumes:
            raise RequestError(
                "this fine-tuner cannot go on from a checkpoint",
                where="--resume",
                remedy="say --overwrite to begin anew, or choose another --output-dir",
            )
        if self.unfinished:
            return
        finished = self.read_manifest().get("finished", False)
        raise RequestError(
            f"{self.path} holds a finished run" if finished else f"{self.path} holds no checkpoint to go on from",
            where="--resume",
            remedy="say --overwrite to begin anew, or choose another --output-dir"
            if finished
            else "leave --resume out to begin",
        )

    @contextlib.contextmanager
    def claim(self, *, overwrite: bool, resume: bool = False) -> Iterator[None]:
        """Owns the folder for the length of the block: one process at a time, by a lock that dies with its owner.

        With `overwrite`, an earlier run is put aside, and is removed only when this one has its final model; if this
        one fails before it saved a checkpoint, the earlier one is put back. A run that saved no weights leaves nothing.
        With `resume`, what lies here stays, however the block ends.
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
                if resume:
                    self.require_unfinished()
                else:
                    if overwrite or not self.unfinished:
                        self._restore()  # what a run that was killed had put aside
                    self.refuse_earlier(overwrite)
                    self._put_aside()
                try:
                    yield
                finally:
                    if self.final_model.exists() or not (resume or self.unfinished):
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
    for package in (
        "torch", "transformers", "peft", "accelerate", "tokenizers", "bitsandbytes", "trl", "gguf", "llama-cpp-python",
    ):  # fmt: skip
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
