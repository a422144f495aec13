"""What a disk refuses is one clear error, what lay there is as it was, and nothing half-written stays."""

from __future__ import annotations

import errno
import os
import resource
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from furrow.components.disk.publish import publish_text, publishing
from furrow.components.disk.storage import StorageError, blame_full_disk, refusal, storing
from furrow.components.errors import RequestError
from tests.faults.campaign.small_disk import Disk, fill, on_small_disk

LARGE = {"weights": torch.arange(200_000, dtype=torch.float32)}
WRITERS = {
    "python": lambda place: place.write_bytes(bytes(800_000)),
    "safetensors": lambda place: save_file(LARGE, place),
    "torch.save": lambda place: torch.save(LARGE, place),
    "numpy": lambda place: np.zeros(800_000, np.uint8).tofile(place),
    "tokenizers": lambda place: Tokenizer(WordLevel({f"word{n}": n for n in range(30_000)}, "word0")).save(str(place)),
}


def said_by(work, tmp_path, size=300 << 10, **how) -> tuple[str, dict[str, bytes]]:
    """What the error says that a publisher on a small disk raises, and what lies there afterwards."""

    def action(disk: Disk) -> int:
        try:
            work(disk.place)
        except StorageError as error:
            print(error)
            return 3
        return 0

    child = on_small_disk(tmp_path, size, action, **how)
    assert child.code == 3, child.said
    kept = tmp_path / "kept"
    return " ".join(child.said.split()), {
        str(f.relative_to(kept)): f.read_bytes() for f in kept.rglob("*") if f.is_file()
    }


@pytest.mark.usefixtures("small_disks")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_named_with_what_is_needed_and_free(tmp_path, writer):
    def work(place: Path) -> None:
        publish_text(place / "model", "old")
        with publishing(place / "model", overwrite=True, needed=800_000) as staging:
            WRITERS[writer](staging)

    said, kept = said_by(work, tmp_path)
    assert said.startswith(f"cannot write {tmp_path / 'disk' / 'model'}: the disk is full (needed: 800 kB; free: ")
    assert kept == {"model": b"old"}


@pytest.mark.usefixtures("small_disks")
def test_what_had_been_written_is_told_where_nobody_knows_what_is_needed(tmp_path):
    def work(place: Path) -> None:
        with publishing(place / "folder") as staging:
            staging.mkdir()
            (staging / "a").write_bytes(bytes(100_000))
            (staging / "b").write_bytes(bytes(800_000))

    said, kept = said_by(work, tmp_path)
    assert "needed: more than the 3" in said  # hundred kB: what the disk took of both
    assert kept == {}


@pytest.mark.usefixtures("small_disks")
def test_a_disk_without_room_for_a_folder(tmp_path):
    def work(place: Path) -> None:
        fill(place, 0)
        publish_text(place / "deep" / "er" / "file", "x" * 5000)

    said, kept = said_by(work, tmp_path)
    assert "the disk is full (needed: 5 kB; free: 0 bytes)" in said
    assert kept == {}


@pytest.mark.usefixtures("small_disks")
def test_a_file_system_that_is_read_only(tmp_path):
    said, _ = said_by(lambda place: publish_text(place / "file", "x"), tmp_path, read_only=True)
    assert said.startswith(
        f"cannot write {tmp_path / 'disk' / 'file'}: the file system is read-only (needed: 1 bytes; free"
    )


@pytest.mark.usefixtures("small_disks")
def test_what_another_program_does_not_explain_is_a_full_disk_where_the_disk_is_full(tmp_path):
    def work(place: Path) -> None:
        with publishing(place / "file") as staging:
            blame_full_disk(staging)

    assert "the disk is full" in said_by(work, tmp_path)[0]
    blame_full_disk(tmp_path / "file")


def test_a_file_that_may_not_grow(tmp_path):
    def action() -> int:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            publish_text(tmp_path / "file", "x" * 5000)
        except StorageError as error:
            return 3 if "larger than is allowed" in str(error) and not list(tmp_path.iterdir()) else 4
        return 5

    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        os._exit(action())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3


def test_a_disk_that_fails_while_it_is_flushed(tmp_path, monkeypatch):
    publish_text(tmp_path / "file", "old")

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched, pytest.raises(StorageError, match="input/output error"):
        patched.setattr(os, "fsync", broken)
        publish_text(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EFBIG])
def test_every_refusal_of_a_disk_is_a_storage_error(tmp_path, number):
    with pytest.raises(StorageError) as raised, storing(tmp_path / "file", needed=1_234_567):
        raise OSError(number, os.strerror(number), str(tmp_path / "file"))
    assert str(tmp_path / "file") in str(raised.value)
    assert "needed: 1 MB" in str(raised.value)
    assert "free: " in str(raised.value)
    assert raised.value.exit_code == 1


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOENT, "No such file or directory"),
        OSError(errno.EACCES, "Permission denied", "/elsewhere/base/model.safetensors"),
        ValueError("(os error: none)"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RequestError("the request was wrong"),
    ],
)
def test_what_says_nothing_of_this_disk_is_raised_as_it_is(tmp_path, error):
    assert refusal(error, tmp_path / "file") is None
    with pytest.raises(type(error)) as raised, publishing(tmp_path / "file"):
        raise error
    assert raised.value is error
    assert list(tmp_path.iterdir()) == []
