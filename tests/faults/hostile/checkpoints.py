"""Checkpoints of others: with pickles beside, and with states that lie although their manifest is right."""

from __future__ import annotations

import functools
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from furrow.components.disk.staging import remove
from furrow.components.errors import FurrowError
from tests.faults.hostile._tiny import base, change, train
from tests.faults.hostile.models import NEEDS, zipped_pickle
from tests.faults.hostile.payload import Payload, pickled

__all__ = ["NEEDS", "PAYLOADS"]

_STEPS = ("--set", "training_args.save_strategy=steps", "--set", "training_args.save_steps=1")
_TRAINERS = ("optimizer.pt", "scheduler.pt", "scaler.pt", "training_args.bin", "rng_state.pth", "rng_state_0.pth",
             "pytorch_model.bin", "adapter_model.bin", "optimizer.bin", "model.pt", "state.pkl")  # fmt: skip
"""What other trainers keep in a checkpoint."""


_QUICK = ("pickles beside", "trained.safetensors is a pickle", "state.json is a pickle", "a device",
          "state, a step of 10^12", "state, a plan that is a text")  # fmt: skip
_NOT_FINISHED = r"^(?!.*holds a finished run)"
"""That it came as far as the checkpoint."""


def _untouched(folder: Path, marker: Path) -> str:
    """Else everything would be refused for another reason than its own."""
    _run(folder)
    try:
        return _resume(folder)
    except FurrowError as error:
        raise AssertionError(str(error)) from error


def _run(folder: Path) -> Path:
    """A run with a checkpoint after its first of two steps; the folder of that checkpoint."""
    for name, content in _made(str(folder)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder / "run" / "checkpoints" / "step-00000001"


@functools.cache
def _made(place: str) -> dict[str, bytes]:
    """Made where it will be used, for its files name the place; the run as it is when it ended after one step."""
    folder = Path(place)
    train(folder, base(folder), *_STEPS)
    shutil.rmtree(folder / "run" / "checkpoints" / "step-00000002")
    for name in ("final_model", "report.md", "report.html"):
        remove(folder / "run" / name)
    change(folder / "run", "manifest.json", finished=False)
    found = {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    with tempfile.TemporaryDirectory(dir=folder.parent) as other:
        for each in list(folder.iterdir()):
            shutil.move(each, other)
    return found


def _resume(folder: Path, *at: str) -> str:
    return train(folder, folder / "base", *_STEPS, "--resume", *at)


def _forged(name: str, forge: Callable[[Path, Path], object]) -> Payload:
    """The checkpoint changed, and its manifest written anew: every sum is right."""

    def attempt(folder: Path, marker: Path) -> str:
        from furrow.components.disk.checkpoint_folder import write_manifest

        checkpoint = _run(folder)
        forge(checkpoint, marker)
        (checkpoint / "MANIFEST.json").unlink()
        write_manifest(checkpoint, 1)
        return _resume(folder, str(checkpoint))

    quick = name in _QUICK  # each trains and resumes, which takes half a second
    return Payload(name=f"forged: {name}", attempt=attempt, because=_NOT_FINISHED, quick=quick)


def _state(name: str, **changes: Any) -> Payload:
    def forge(checkpoint: Path, marker: Path) -> None:
        file = checkpoint / "state.json"
        state = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({key: value for key, value in state.items() if value != "(gone)"}))

    return _forged(f"state, {name}", forge)


def _text(name: str, file: str, content: str | bytes) -> Payload:
    raw = content.encode() if isinstance(content, str) else content
    return _forged(f"{file}, {name}", lambda checkpoint, marker: (checkpoint / file).write_bytes(raw))


def _manifest(name: str, content: Any) -> Payload:
    def attempt(folder: Path, marker: Path) -> str:
        checkpoint = _run(folder)
        text = content if isinstance(content, str) else json.dumps(content)
        (checkpoint / "MANIFEST.json").write_text(text)
        return _resume(folder)

    return Payload(name=f"manifest: {name}", attempt=attempt, because=_NOT_FINISHED, quick=name in _QUICK)


def _pickles(forged: bool) -> Callable[[Path, Path], object]:
    def plant(checkpoint: Path, marker: Path) -> None:
        for number, name in enumerate(_TRAINERS):
            (checkpoint / name).write_bytes(pickled(marker) if number % 2 else zipped_pickle(marker))
            (checkpoint / "model" / name).write_bytes(pickled(marker))

    return plant


def _unlisted(folder: Path, marker: Path) -> str:
    _pickles(False)(_run(folder), marker)
    return _resume(folder)


def _instead(name: str) -> Payload:
    return _forged(f"{name} is a pickle", lambda checkpoint, marker: (checkpoint / name).write_bytes(pickled(marker)))


def _linked(folder: Path, marker: Path) -> str:
    checkpoint = _run(folder)
    (checkpoint / "optimizer.safetensors").unlink()
    (checkpoint / "optimizer.safetensors").symlink_to("/dev/zero")
    return _resume(folder)


def _piped(folder: Path, marker: Path) -> str:
    checkpoint = _run(folder)
    (checkpoint / "state.json").unlink()
    os.mkfifo(checkpoint / "state.json")
    return _resume(folder)


def _huge_header(checkpoint: Path, marker: Path) -> None:
    (checkpoint / "trained.safetensors").write_bytes(struct.pack("<Q", 2**62) + b"{}")


def _renamed(checkpoint: Path, marker: Path) -> None:
    (checkpoint / "optimizer.safetensors").rename(checkpoint / "planted.safetensors")


_ENTRY = {"sha256": "0" * 64, "bytes": 1}

PAYLOADS = (
    Payload(name="untouched", attempt=_untouched),
    Payload(name="pickles beside, unlisted", attempt=_unlisted),
    Payload(name="a link to a device", attempt=_linked),
    Payload(name="a pipe", attempt=_piped),
    _forged("pickles beside", _pickles(True)),
    _instead("optimizer.safetensors"),
    _instead("trained.safetensors"),
    _instead("state.json"),
    _instead("model/adapter_model.safetensors"),
    _forged("a huge header", _huge_header),
    _forged("an optimiser that is gone", _renamed),
    _manifest("a path outside", {"format": 1, "step": 1, "versions": {}, "files": {"../../../secret": _ENTRY}}),
    _manifest("an absolute path", {"format": 1, "step": 1, "versions": {}, "files": {"/etc/passwd": _ENTRY}}),
    _manifest("a device", {"format": 1, "step": 1, "versions": {}, "files": {"/dev/zero": _ENTRY}}),
    _manifest("a list", [1]),
    _manifest("no JSON", "{"),
    _manifest("depth", "[" * 100_000),
    _manifest("a step that is a text", {"format": 1, "step": "1", "versions": {}, "files": {}}),
    _manifest("files that are a list", {"format": 1, "step": 1, "versions": {}, "files": ["a"]}),
    _text("no JSON", "state.json", "{"),
    _text("a list", "state.json", "[]"),
    _text("depth", "state.json", "[" * 100_000),
    _text("digits", "state.json", '{"step": 1' + "0" * 5000 + "}"),
    _text("Latin-1", "state.json", b"\xff\xfe{}"),
    _text("empty", "trained.safetensors", b""),
    _text("other tensors", "trained.safetensors", struct.pack("<Q", 2) + b"{}"),
    _text("other tensors", "optimizer.safetensors", struct.pack("<Q", 2) + b"{}"),
    _text("code of its own", "model/adapter_config.json", '{"auto_map": {"AutoConfig": "planted.Planted"}}'),
    _state("nothing in it", **dict.fromkeys(
        ("step", "evaluated", "total_loss", "total_learned", "setbacks", "plan", "optimizer", "best"), "(gone)")),
    _state("a step of 10^12", step=10**12),
    _state("a step below zero", step=-5),
    _state("a step that is a text", step="planted"),
    _state("a step that is a list", step=[1]),
    _state("numbers that are texts", total_loss="planted", total_learned="planted"),
    _state("setbacks without end", setbacks={"skipped": list(range(100_000)), "rollbacks": 10**12,
                                             "learning_rate_scale": 1e300}),
    _state("setbacks that are a text", setbacks="planted"),
    _state("a plan of 10^12 rows", plan={"rows": 10**12, "effective_rows": 8, "epochs": 3.0, "max_steps": 2, "seed": 42,
                                         "begun": None, "total_steps": 2}),
    _state("a plan of 10^12 steps", plan={"rows": 6, "effective_rows": 8, "epochs": 1e12, "max_steps": 10**12,
                                          "seed": 42, "begun": [10**12, 10**12], "total_steps": 10**12}),
    _state("a plan of nothing", plan={"rows": 0, "effective_rows": 0, "epochs": 0, "max_steps": 0, "seed": -1,
                                      "begun": None, "total_steps": 0}),
    _state("a plan that is a text", plan="planted"),
    _state("another optimiser", optim="planted"),
    _state("an optimiser of texts", optimizer={"0": {"step": "planted"}, "planted": {"__class__": "x"}}),
    _state("a best that is a text", best="planted"),
    _state("a best step of 10^12", best={"value": 1.0, "step": 10**12}),
    _state("a scaler", scaler={"scale": "planted", "_growth_tracker": None}),
    _state("micro-batches of 10^15 tokens", micro_batch_tokens=10**15),
    _state("micro-batches of nothing", micro_batch_tokens=0),
    _state("micro-batches of a text", micro_batch_tokens="planted"),
    _state("a learning rate that is a list", next_learning_rate=[1]),
)  # fmt: skip
