"""The run folder has one owner, and overwriting touches only what Furrow wrote."""

from __future__ import annotations

import multiprocessing

import pytest

from furrow.components.errors import RequestError
from furrow.stages.run import RunFolder


def hold(path, claimed, release):
    with RunFolder(path).claim(overwrite=False):
        claimed.set()
        release.wait(20)


def test_a_folder_in_use_names_its_holder_and_is_free_when_the_holder_dies(tmp_path):
    context = multiprocessing.get_context("fork")
    claimed, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path / "run", claimed, release))
    holder.start()
    assert claimed.wait(20)
    with (
        pytest.raises(RequestError, match=f"in use by process {holder.pid} on "),
        RunFolder(tmp_path / "run").claim(overwrite=False),
    ):
        pass
    holder.kill()
    holder.join()
    with RunFolder(tmp_path / "run").claim(overwrite=False):
        pass


def test_an_earlier_run_is_refused_and_with_overwrite_only_its_files_go(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    run.final_model.mkdir()
    with (
        pytest.raises(RequestError, match=r"earlier run \(final_model\)[\s\S]*--overwrite"),
        run.claim(overwrite=False),
    ):
        pass
    with run.claim(overwrite=True):
        assert not run.final_model.exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_that_fails_before_it_writes_leaves_no_folder(tmp_path):
    with pytest.raises(ValueError), RunFolder(tmp_path / "run").claim(overwrite=False):
        raise ValueError
    assert not (tmp_path / "run").exists()
