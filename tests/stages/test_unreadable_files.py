"""A data file that may not be read is one clear error, whatever is done with it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os

import pytest

from furrow.components.errors import RequestError
from furrow.stages.clean import clean
from furrow.stages.data.training_data import prepare
from furrow.stages.inspect_data import inspect
from furrow.stages.split import split
from furrow.strategies.files import load, without_strategy

LINES = "".join(json.dumps({"prompt": f"What is {n}?", "completion": "A number."}) + "\n" for n in range(10))
_SEE_ALL = 0b110
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: by these root reads what nobody may."""


@contextlib.contextmanager
def no_exceptions_for_root():
    """Permissions hold in this thread, and in those that it starts, even where it runs as root."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header, given = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, given) == 0
    fewer = (ctypes.c_uint32 * 6)(*given)
    fewer[0] &= ~_SEE_ALL
    assert libc.capset(header, fewer) == 0
    try:
        yield
    finally:
        assert libc.capset(header, given) == 0


def trained(path, loaded):
    prepare(loaded(path), None, lambda event: None)


def inspected(path, loaded):
    inspect(loaded(path), lambda event: None)


def cleaned(path, loaded):
    clean(without_strategy([f"dataset.train_file={path}"]), path.parent / "clean.jsonl", False, lambda event: None)


def halved(path, loaded):
    split(path, without_strategy([]).strategy.dataset, 20, path.parent / "out")


@pytest.fixture
def loaded(strategy_file, tmp_path):
    def make(path):
        dataset = {"train_file": str(path), "on_bad_row": "skip", "cache_dir": str(tmp_path / "kept")}
        return load("tiny", strategy_file(dataset=dataset), [])

    return make


@pytest.mark.parametrize("made", [trained, inspected, cleaned, halved])
@pytest.mark.parametrize("kind", ["jsonl", "csv", "txt"])
@pytest.mark.parametrize("place", ["file", "folder", "closed folder"])
def test_a_file_that_may_not_be_read_is_named(tmp_path, loaded, made, kind, place):
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.{kind}").write_text("prompt,completion\nWhat?,That.\n" if kind == "csv" else LINES)
    if kind == "txt":
        for file in folder.iterdir():
            file.write_text("Some words.\n")
    hidden = folder / f"b.{kind}"
    hidden.chmod(0)
    if place == "closed folder":
        folder.chmod(0o600)
    with no_exceptions_for_root(), pytest.raises(RequestError, match=rf"b\.{kind}|/a\.{kind}") as said:
        made(hidden if place == "file" else folder, loaded)
    folder.chmod(0o700)
    assert "cannot be read: Permission denied" in str(said.value)
