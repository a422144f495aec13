"""The run folder has one owner, and overwriting touches only what Furrow wrote."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from furrow.components.disk.checkpoint_folder import checkpoints_in, name_of
from furrow.components.errors import RequestError
from furrow.stages.run import folder as module
from furrow.stages.run.folder import RunFolder


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


@pytest.mark.parametrize("options", [(), ("--overwrite",), ("--resume",)])
def test_a_second_training_into_one_folder_is_refused_before_it_reads_anything(
    options, furrow, strategy_file, tmp_path
):
    context = multiprocessing.get_context("fork")
    claimed, release = context.Event(), context.Event()
    holder = context.Process(target=hold, args=(tmp_path / "run", claimed, release))
    holder.start()
    assert claimed.wait(20)
    ended = furrow("train", "--strategy", "tiny", "--strategy-file", strategy_file(), *options)
    holder.kill()
    holder.join()
    assert ended.code == 2 and f"is in use by process {holder.pid} on " in ended.err
    assert "reading the data" not in ended.out


def test_an_earlier_run_is_refused_and_with_overwrite_only_its_files_go(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    run.final_model.mkdir()
    with (
        pytest.raises(RequestError, match=r"earlier run \(final_model\)[\s\S]*--overwrite"),
        run.claim(overwrite=False),
    ):
        pass
    with run.claim(overwrite=True), run.begun(overwrite=True):
        assert not run.final_model.exists()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_that_fails_before_it_writes_leaves_no_folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ValueError), run.claim(overwrite=False), run.begun(overwrite=False):
        raise ValueError
    assert not (tmp_path / "run").exists()


def earlier_run(folder):
    """A finished one; returns what lies there."""
    for name in ("manifest.json", "strategy.yaml", "checkpoints", "final_model", "report.md"):
        place = folder / name if "." in name else folder / name / "of_the_earlier_run"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps({"finished": True}) if name == "manifest.json" else name)
    return content(folder)


def content(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def replace_it_and_fail(folder, number):
    """Dies at this one of the calls that move or remove something."""
    left = iter(range(number))

    def dying(call):
        def until_it_dies(*arguments):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments)

        return until_it_dies

    Path.rename, Path.rmdir, module.remove = dying(Path.rename), dying(Path.rmdir), dying(module.remove)
    run = RunFolder(folder)
    with run.claim(overwrite=True), run.begun(overwrite=True):
        run.write_manifest({"finished": False})
        run.strategy.write_text("of the next run")
        raise SystemExit(0)


def test_an_earlier_run_comes_back_whole_wherever_its_successor_is_killed(tmp_path):
    before = earlier_run(tmp_path)
    for number in range(200):
        child = multiprocessing.get_context("fork").Process(target=replace_it_and_fail, args=(tmp_path, number))
        child.start()
        child.join()
        run = RunFolder(tmp_path)
        with run.claim(overwrite=True):
            assert {name: data for name, data in content(tmp_path).items() if name != ".lock"} == before, number
        assert content(tmp_path) == before
        if child.exitcode == 0:
            break
    assert number > 12 and child.exitcode == 0


def test_wherever_a_clearing_is_killed_no_weights_are_left_without_what_they_began_with(tmp_path):
    for number in range(60):
        folder = tmp_path / str(number)
        run = RunFolder(folder)
        (folder / ".earlier").mkdir(parents=True)
        earlier_run(folder / ".earlier")
        run.write_grounds({"finished": False}, "of the run that is cleared")
        checkpoint = {f"checkpoints/{name_of(1)}/{name}": b"x" for name in ("a", "b", "c")}
        for name, data in checkpoint.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        child = multiprocessing.get_context("fork").Process(target=replace_it_and_fail, args=(folder, number))
        child.start()
        child.join()
        left = content(folder)
        if run.strategy.exists() and b"cleared" in left["strategy.yaml"] and checkpoints_in(run.checkpoints):
            assert checkpoint.items() <= left.items() and run.read_manifest() == {
                "furrow": run.read_manifest()["furrow"],
                "finished": False,
            }
        elif checkpoints_in(run.checkpoints):
            raise AssertionError(f"killed at {number}: weights without what they began with")
        if child.exitcode == 0:
            break
    assert number > 12 and child.exitcode == 0


def test_what_was_killed_before_it_saved_anything_refuses_no_next_try(tmp_path):
    run = RunFolder(tmp_path)
    run.write_manifest({"finished": False})
    run.metrics.write_text("{}")
    run.checkpoints.mkdir()
    with run.claim(overwrite=False), run.begun(overwrite=False):
        assert not run.manifest.exists() and not run.metrics.exists()


def test_what_is_trained_but_not_exported_is_gone_on_with(tmp_path):
    run = RunFolder(tmp_path)
    run.final_model.mkdir()
    run.write_grounds({"finished": False}, "tiny: {}")
    with run.claim(overwrite=False, resume=True), run.begun(overwrite=False, resume=True):
        assert run.trained
    policy = RunFolder(tmp_path, resumes=False)
    with policy.claim(overwrite=False, resume=True):
        pass
    run.write_manifest({"finished": True})
    with pytest.raises(RequestError, match="holds a finished run"), run.claim(overwrite=False, resume=True):
        pass
