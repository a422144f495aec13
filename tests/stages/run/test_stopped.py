"""What is said of a run that a signal ended, wherever the signal struck."""

from __future__ import annotations

import signal

import pytest

from furrow.components.disk.checkpoint_folder import name_of
from furrow.components.interruption import Interrupted, StopRequest, Unwound
from furrow.stages.run.folder import RunFolder
from furrow.stages.run.stopped import before_it_began


def test_an_error_that_a_signal_caused_on_its_way_out_counts_as_the_signal(tmp_path):
    stop = StopRequest()
    with pytest.raises(Interrupted) as ended, before_it_began(RunFolder(tmp_path), stop, False):
        stop.unwound = signal.SIGTERM
        raise RuntimeError("release unlocked lock")  # a lock of Python's that the signal cut open
    assert ended.value.exit_code == 143 and not ended.value.resumable
    with pytest.raises(RuntimeError), before_it_began(RunFolder(tmp_path), StopRequest(), False):
        raise RuntimeError("of its own")


def test_once_the_run_has_begun_what_is_kept_is_named(tmp_path):
    (tmp_path / "checkpoints" / name_of(4)).mkdir(parents=True)
    stop = StopRequest()
    kept = pytest.raises(Interrupted, match="what is kept is that after step 4")
    with kept as ended, before_it_began(RunFolder(tmp_path), stop, False) as begins:
        begins()
        raise Unwound(signal.SIGINT)
    assert ended.value.exit_code == 130


def test_a_signal_behind_the_last_of_the_work_says_that_the_run_is_done(tmp_path):
    run = RunFolder(tmp_path)
    (tmp_path / "final_model").mkdir()
    run.write_manifest({"finished": True})
    with (
        pytest.raises(Interrupted, match="the run is done") as ended,
        before_it_began(run, StopRequest(), False) as begins,
    ):
        begins()
        raise Unwound(signal.SIGINT)
    assert not ended.value.resumable
