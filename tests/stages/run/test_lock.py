"""Of many processes that want one folder exactly one has it, and who comes too late hears who."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from furrow.components.errors import RequestError
from furrow.components.events import Warned
from furrow.stages.run import lock
from furrow.stages.run.lock import LOCK, locked

fork = multiprocessing.get_context("fork")


def silent(event):
    """Nobody listens."""


def hold(folder, claimed, release):
    with locked(folder, silent):
        claimed.set()
        release.wait(60)


@pytest.fixture
def holder(tmp_path):
    """A process that has the folder until it is killed, or told to go."""
    claimed, release = fork.Event(), fork.Event()
    process = fork.Process(target=hold, args=(tmp_path / "run", claimed, release))
    process.start()
    assert claimed.wait(60)
    process.release = release
    yield process
    process.kill()
    process.join()


def test_who_comes_too_late_hears_the_holders_process_machine_and_time(holder, tmp_path):
    said = rf"run is in use by process {holder.pid} on {socket.gethostname()} since 20\d\d-\d\d-\d\dT"
    with pytest.raises(RequestError, match=said), locked(tmp_path / "run", silent):
        pass


def test_the_lock_dies_with_its_process_and_goes_without_a_trace(holder, tmp_path):
    holder.kill()
    holder.join()
    assert (tmp_path / "run" / LOCK).is_file()
    with locked(tmp_path / "run", silent):
        assert str(os.getpid()) in (tmp_path / "run" / LOCK).read_text()
    assert list((tmp_path / "run").iterdir()) == []
    with locked(tmp_path / "new", silent):
        pass
    assert not (tmp_path / "new").exists()


def count(folder, start, wins, inside, doubled):
    """Takes and leaves the folder many times; notes whenever somebody else is inside."""
    start.wait()
    end = time.monotonic() + 1
    while time.monotonic() < end:
        try:
            with locked(folder, silent):
                with inside.get_lock():
                    inside.value += 1
                    doubled.value += inside.value > 1
                wins.value += 1
                with inside.get_lock():
                    inside.value -= 1
        except RequestError:
            pass


def test_never_two_at_once_however_often_it_is_taken_made_and_removed(tmp_path):
    start, inside, doubled = fork.Event(), fork.Value("i", 0), fork.Value("i", 0)
    wins = [fork.Value("i", 0) for _ in range(4)]
    processes = [fork.Process(target=count, args=(tmp_path / "run", start, each, inside, doubled)) for each in wins]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert doubled.value == 0 and sum(each.value for each in wins) > 20


def test_a_lock_on_a_file_that_its_holder_took_along_is_none(tmp_path, monkeypatch):
    opened, others = lock._opened, []

    def too_late(folder, name):
        descriptor = opened(folder, name)
        if not others:  # between opening and locking, its holder leaves and the next one comes
            name.unlink()
            others.append(opened(folder, name))
            fcntl.flock(others[0], fcntl.LOCK_EX)
            os.pwrite(others[0], b"process 7 on there\n", 0)
        return descriptor

    monkeypatch.setattr(lock, "_opened", too_late)
    with pytest.raises(RequestError, match="in use by process 7 on there"), locked(tmp_path, silent):
        pass
    os.close(others[0])


def test_a_child_does_not_keep_the_lock_beyond_its_parents_end(tmp_path):
    ready, child = fork.Event(), fork.Value("i", 0)

    def parent():
        with locked(tmp_path / "run", silent):
            pid = os.fork()
            if pid == 0:
                time.sleep(60)
                os._exit(0)
            child.value = pid
            ready.set()
            time.sleep(60)

    process = fork.Process(target=parent)
    process.start()
    assert ready.wait(60)
    process.kill()
    process.join()
    try:
        with locked(tmp_path / "run", silent):
            pass
    finally:
        os.kill(child.value, signal.SIGKILL)


@pytest.mark.parametrize("text", [b"", b"process 12", b"\xff\x00 torn", b"x" * 10_000])
def test_a_text_that_is_torn_is_not_taken_for_a_holder(text, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_WRITING_SECONDS", 0.05)
    (tmp_path / LOCK).write_bytes(text)
    with (tmp_path / LOCK).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RequestError, match="is in use by another process"), locked(tmp_path, silent):
            pass
    with locked(tmp_path, silent):
        assert (tmp_path / LOCK).read_text().startswith(f"process {os.getpid()} on ")


def test_no_link_is_followed(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "theirs").write_text("precious")
    (tmp_path / "run" / LOCK).symlink_to(tmp_path / "theirs")
    with pytest.raises(RequestError, match="is a link"), locked(tmp_path / "run", silent):
        pass
    assert (tmp_path / "theirs").read_text() == "precious"


def test_a_folder_that_may_not_be_written_to_is_said_to_be_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="cannot be made"), locked(tmp_path / "file" / "run", silent):
        pass


READ_ONLY = """
import sys
from pathlib import Path
from furrow.components.errors import RequestError
from furrow.stages.run.folder import RunFolder
try:
    with RunFolder(Path(sys.argv[1])).claim(overwrite=False):
        pass
except RequestError as error:
    print(error)
"""


def test_a_file_system_that_is_read_only_is_said_to_be_so(tmp_path):
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("unshare -Urm is not there or not allowed")
    script = f"mount -t tmpfs -o ro none {tmp_path} && exec {sys.executable} -c '{READ_ONLY}' {tmp_path}"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    assert "may not be written to" in done.stdout, done.stderr


def test_a_file_system_without_locks_is_warned_of(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    told = []
    with locked(tmp_path / "run", told.append):
        pass
    assert [type(event) for event in told] == [Warned] and "has no locks" in told[0].message


FULL = """
import os, sys
from pathlib import Path
from furrow.components.disk.storage import StorageError
from furrow.stages.run.lock import locked
place = Path(sys.argv[1])
def full(folder):
    try:
        with locked(folder, print):
            print("locked")
    except StorageError as error:
        print(error)
(place / "ballast").write_bytes(b"")
with open(place / "ballast", "wb", buffering=0) as ballast:
    try:
        while True:
            ballast.write(bytes(4096))
    except OSError:
        pass
full(place)
try:
    for number in range(10_000):
        (place / f"file {number}").touch()
except OSError:
    pass
full(place)
"""


@pytest.mark.skipif(
    subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode != 0,
    reason="unshare -Urm is not allowed here",
)
def test_a_full_disk_costs_the_holders_name_and_one_without_room_for_a_file_is_named(tmp_path):
    script = f"mount -t tmpfs -o size=64k,nr_inodes=40 none {tmp_path} && exec {sys.executable} -c '{FULL}' {tmp_path}"
    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, text=True, timeout=60)
    first, second = done.stdout.split("\n", 1)
    assert first == "locked", done.stderr
    assert second.startswith(f"cannot write {tmp_path / LOCK}: the disk is full (needed: 400 bytes; free: ")


def test_a_folder_that_goes_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    mkdir, cut = Path.mkdir, []

    def gone_meanwhile(path, *arguments, **named):
        if not cut:
            cut.append(path)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        mkdir(path, *arguments, **named)

    monkeypatch.setattr(Path, "mkdir", gone_meanwhile)
    with locked(tmp_path / "run", silent):
        assert (tmp_path / "run" / LOCK).is_file()
    assert cut == [tmp_path / "run"]
