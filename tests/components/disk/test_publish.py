"""What is published is whole or absent: also after a kill, with two at once, and where folders cannot be exchanged."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from furrow.components.disk import rename
from furrow.components.disk.publish import publish_text, publishing, publishing_together, refuse_existing
from furrow.components.disk.staging import discard, scratch, sweep
from furrow.components.errors import RequestError


def write_folder(place: Path, text: str) -> None:
    place.mkdir()
    (place / "a").write_text(text)
    (place / "b").write_text(text)


def read_folder(folder: Path) -> set[str]:
    return {(folder / name).read_text() for name in ("a", "b")}


def in_a_child(work: Callable[[], None]) -> int:
    """Forks, works there, and returns how the child ended (a signal as a negative number)."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_before(monkeypatch: pytest.MonkeyPatch, call: str, number: int, work: Callable[[], None]) -> bool:
    """Whether the child that does the work was killed before its `number`-th call of `Path.<call>` or `os.<call>`."""
    owner = os if hasattr(os, call) and not hasattr(Path, call) else Path
    real, seen = getattr(owner, call), []

    def counted(*given: object, **named: object) -> object:
        seen.append(call)
        if len(seen) == number:
            die()
        return real(*given, **named)

    def child() -> None:
        monkeypatch.setattr(owner, call, counted)
        work()

    return in_a_child(child) == -signal.SIGKILL


@pytest.fixture
def no_exchange(monkeypatch):
    """As on macOS, on NFS and on old kernels."""
    monkeypatch.setattr(rename, "_function", lambda: None)


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(ValueError), publishing(target, overwrite=True) as staging:
        staging.write_text("half")
        raise ValueError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_replaced_whole(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(rename, "_function", lambda: None)
    target = tmp_path / "model"
    for name in ("one", "two"):
        with publishing(target, overwrite=True) as staging:
            staging.mkdir()
            (staging / name).write_text(name)
    assert [file.name for file in target.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_takes_the_place_of_a_folder_and_a_folder_that_of_a_link(tmp_path):
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "target"
    write_folder(elsewhere, "mine")
    target.symlink_to(elsewhere)
    with publishing(target, overwrite=True) as staging:
        write_folder(staging, "new")
    assert read_folder(target) == {"new"}
    publish_text(target, "text")
    assert target.read_text() == "text"
    assert read_folder(elsewhere) == {"mine"}
    assert set(tmp_path.iterdir()) == {elsewhere, target}


def test_what_exists_is_refused_before_any_work(tmp_path):
    publish_text(tmp_path / "file", "x")
    with pytest.raises(RequestError, match="exists already"), publishing(tmp_path / "file"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize("exchange", [True, False])
def test_who_comes_second_is_refused_and_replaces_nothing(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(rename, "_function", lambda: None)
    target = tmp_path / "model"
    with pytest.raises(RequestError, match="exists already"), publishing(target) as staging:
        write_folder(staging, "slow")
        with publishing(target) as other:
            write_folder(other, "quick")
    assert read_folder(target) == {"quick"}
    assert list(tmp_path.iterdir()) == [target]


def test_a_kill_leaves_the_old_folder_and_the_next_publisher_sweeps(tmp_path):
    target = tmp_path / "model"
    with publishing(target) as staging:
        write_folder(staging, "old")

    def work() -> None:
        with publishing(target, overwrite=True) as staging:
            staging.mkdir()
            (staging / "a").write_text("half")
            die()

    assert in_a_child(work) == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2  # the model, and something hidden
    assert read_folder(target) == {"old"}
    publish_text(tmp_path / "another", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "model"]


def test_what_a_living_process_is_writing_is_not_swept(tmp_path):
    with publishing(tmp_path / "one") as staging:
        staging.write_text("x")
        assert in_a_child(lambda: sweep(tmp_path)) == 0
        publish_text(tmp_path / "two", "y")
        assert staging.read_text() == "x"
    assert (tmp_path / "one").read_text() == "x"


@pytest.mark.parametrize("call", ["rename", "replace", "mkdir", "touch", "fsync", "close", "open"])
def test_a_folder_that_cannot_be_exchanged_is_old_or_new_after_a_kill_anywhere(
    tmp_path, monkeypatch, no_exchange, call
):
    target = tmp_path / "model"
    number = 0
    while True:
        number += 1
        with publishing(target, overwrite=True) as staging:
            write_folder(staging, "old")

        def work() -> None:
            with publishing(target, overwrite=True) as staging:
                write_folder(staging, "new")

        killed = killed_before(monkeypatch, call, number, work)
        sweep(tmp_path)
        assert read_folder(target) in ({"old"}, {"new"})
        assert list(tmp_path.iterdir()) == [target]
        if not killed:
            break
    assert number > 1 or call == "touch"


@pytest.mark.parametrize("call", ["rename", "replace", "touch", "fsync"])
def test_of_two_files_both_are_there_or_neither_after_a_kill_anywhere(tmp_path, monkeypatch, call):
    pair = [tmp_path / "train", tmp_path / "eval"]
    number, states = 0, set()
    while True:
        number += 1

        def work() -> None:
            with publishing_together(pair) as staging:
                for place in staging:
                    place.write_text("new")

        killed = killed_before(monkeypatch, call, number, work)
        sweep(tmp_path)
        there = tuple(path.name for path in sorted(tmp_path.iterdir()))
        assert there in ((), ("eval", "train"))
        states.add(there)
        for path in tmp_path.iterdir():
            path.unlink()
        if not killed:
            break
    assert number > 1 or call == "rename"
    assert ("eval", "train") in states


def test_an_older_pair_is_not_refused_by_halves(tmp_path):
    pair = [tmp_path / "train", tmp_path / "eval"]
    pair[1].write_text("mine")
    with pytest.raises(RequestError, match="eval exists already"), publishing_together(pair):
        pytest.fail("the block must not run")
    with publishing_together(pair, overwrite=True) as staging:
        for place in staging:
            place.write_text("new")
    assert [path.read_text() for path in pair] == ["new", "new"]


def test_asking_whether_something_exists_finishes_what_was_decided(tmp_path, monkeypatch, no_exchange):
    """Else the half state would be what is asked about: here the moment in which no folder has the name."""
    target = tmp_path / "model"
    with publishing(target) as staging:
        write_folder(staging, "old")

    def work() -> None:
        with publishing(target, overwrite=True) as staging:
            write_folder(staging, "new")

    assert killed_before(monkeypatch, "replace", 1, work)
    assert not target.exists()
    with pytest.raises(RequestError, match="exists already"):
        refuse_existing(target, overwrite=False)
    assert read_folder(target) == {"new"}


def test_scratch_is_gone_when_the_block_ends_and_after_a_kill(tmp_path):
    with scratch(tmp_path, "work") as folder:
        (folder / "large").write_text("x")

    def work() -> None:
        with scratch(tmp_path, "work") as folder:
            (folder / "large").write_text("x")
            die()

    assert in_a_child(work) == -signal.SIGKILL
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_half_a_removal_never_has_the_name(tmp_path, monkeypatch):
    target = tmp_path / "model"
    write_folder(target, "old")
    assert killed_before(monkeypatch, "unlink", 1, lambda: discard(target)) or not target.exists()
    assert not target.exists()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_sweeping_touches_nothing_of_others(tmp_path):
    mine = [".gitignore", ".cache", "partial-1-abc", ".x.partial-1", "model.partial-12-abcdefgh"]
    for name in mine:
        (tmp_path / name).mkdir()
    (tmp_path / ".note.partial-12-abcdefgh").write_text("a file, not a folder of ours")
    sweep(tmp_path)
    sweep(tmp_path / "not there")
    assert len(list(tmp_path.iterdir())) == len(mine) + 1


def test_a_long_name_has_room_for_what_is_added(tmp_path):
    name = "ä" * 120
    publish_text(tmp_path / name, "x")
    discard(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_files_of_two_makings_never_lie_side_by_side(tmp_path, monkeypatch):
    pair = [tmp_path / "model", tmp_path / "model.json"]
    seen = set()
    for call in ("rename", "replace"):
        for number in (1, 2, 3):
            with publishing_together(pair, overwrite=True) as staging:
                for place in staging:
                    place.write_text("old")

            def work() -> None:
                with publishing_together(pair, overwrite=True) as staging:
                    for place in staging:
                        place.write_text("new")

            killed_before(monkeypatch, call, number, work)
            seen.add(tuple(path.read_text() if path.exists() else None for path in pair))
            sweep(tmp_path)
            assert [path.read_text() for path in pair] == ["new", "new"]
    assert ("old", None) in seen and ("new", None) in seen
    assert seen <= {("old", "old"), ("old", None), ("new", None), ("new", "new")}


def test_folders_that_were_made_for_nothing_go_again(tmp_path):
    with pytest.raises(ValueError), publishing(tmp_path / "new" / "deep" / "file") as staging:
        staging.write_text("half")
        raise ValueError
    assert list(tmp_path.iterdir()) == []
    publish_text(tmp_path / "new" / "deep" / "file", "whole")
    assert (tmp_path / "new" / "deep" / "file").read_text() == "whole"


def test_a_folder_that_was_killed_on_its_way_out_is_swept_whatever_went_first(tmp_path, no_exchange):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a").write_text("old")

    def killed_behind_the_renaming():
        with publishing(tmp_path / "made", overwrite=True) as staging:
            write_folder(staging, "new")
            staging_folder = staging.parent.parent
            shutil.rmtree = lambda path, **_: ((staging_folder / "new").rmdir(), os.kill(os.getpid(), signal.SIGKILL))

    assert in_a_child(killed_behind_the_renaming) == -signal.SIGKILL
    assert [path.name for path in tmp_path.glob(".made.partial*/*")] != []
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_folder_to_write_in_that_cannot_be_made_whole_is_not_left(tmp_path, monkeypatch):
    def full(path, *_):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OSError, match="quota"), scratch(tmp_path, "made"):
        pass
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
