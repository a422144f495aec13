"""Checkpoints as they are written: sums are those of the files, a full disk is waited for, one process publishes."""

from __future__ import annotations

import json
import threading
import time

import accelerate
import pytest
import torch
from safetensors.torch import load_file

from furrow.components.disk.checkpoint_folder import MANIFEST, checkpoints_in, damage, name_of
from furrow.components.disk.hashing import Hashing, sha256_of
from furrow.components.disk.patience import patiently
from furrow.components.disk.space import Space
from furrow.components.disk.storage import StorageError, bytes_of
from furrow.components.errors import FurrowError
from furrow.components.events import CheckpointSaved, SavePaused, StageStarted, StepEnded, TrainingEnded, Warned
from furrow.components.fine_tuner.pytorch.keeping.tensor_file import write_tensors
from furrow.components.interruption import StopRequest
from tests.faults.campaign.small_disk import fill, on_small_disk

SETTINGS = {"max_steps": 5, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 1, "learning_rate": 1e-3}
FULL = {"type": "full"}


def test_tensors_are_read_back_by_safetensors_and_hashed_as_the_file_is(tmp_path):
    kinds = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool]
    shared = torch.randn(7)
    tensors = {f"a {kind}": (torch.randn(3, 5) * 4).to(kind) for kind in kinds}
    tensors |= {"scalar": torch.tensor(3.0), "empty": torch.empty(0, 4), "turned": torch.randn(4, 6).T}
    tensors |= {"one": shared, "another": shared, "ümläut/\n": torch.ones(1, dtype=torch.int8)}
    with Hashing(tmp_path) as hashing:
        write_tensors(tmp_path / "file", tensors, hashing)
        sums = hashing.sums()
    assert sums == {"file": (sha256_of(tmp_path / "file"), (tmp_path / "file").stat().st_size)}
    read = load_file(tmp_path / "file")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and read[name].shape == tensor.shape
        assert torch.equal(read[name], tensor)


def test_a_sum_that_cannot_be_computed_is_an_error_and_leaves_no_thread(tmp_path):
    before = threading.active_count()
    with pytest.raises(FileNotFoundError), Hashing(tmp_path) as hashing:
        hashing.written(tmp_path / "nothing")
        hashing.sums()
    assert threading.active_count() == before


@pytest.mark.parametrize("method", [None, FULL])
def test_the_manifest_names_every_file_of_a_checkpoint(train, examples, method):
    _, folder = train(examples, method=method, **SETTINGS)
    checkpoint = folder / "checkpoints" / name_of(4)
    assert list(checkpoints_in(folder / "checkpoints").values()) == [checkpoint]
    files = json.loads((checkpoint / MANIFEST).read_text())["files"]
    there = {str(file.relative_to(checkpoint)): file for file in checkpoint.rglob("*") if file.is_file()}
    assert files.keys() == there.keys() - {MANIFEST}
    for name, entry in files.items():
        assert entry == {"sha256": sha256_of(there[name]), "bytes": there[name].stat().st_size}
    assert damage(checkpoint) is None


def test_a_process_that_is_not_the_first_publishes_nothing(train, examples, monkeypatch):
    monkeypatch.setattr(accelerate.Accelerator, "is_main_process", False)
    events, folder = train(examples, **SETTINGS)
    assert not folder.exists()
    assert not [event for event in events if isinstance(event, CheckpointSaved)]
    assert [event.step for event in events if isinstance(event, TrainingEnded)] == [5]


def test_a_best_checkpoint_that_rotted_is_not_loaded(train, examples):
    settings = {"eval_strategy": "steps", "eval_steps": 1, "load_best_model_at_end": True, "learning_rate": 5.0}

    def rot(event):
        if isinstance(event, CheckpointSaved):
            [file] = (folder / "checkpoints" / name_of(event.step) / "model").glob("*.safetensors")
            content = bytearray(file.read_bytes())
            content[-1] ^= 1
            file.write_bytes(content)

    _, folder = train(examples[:1], name="where", max_steps=1)
    folder = folder.parent / "run"
    events, _ = train(examples[:20], evaluation=examples[20:], listener=rot, **{**SETTINGS, **settings})
    [ended] = [event for event in events if isinstance(event, TrainingEnded)]
    [warned] = [event for event in events if isinstance(event, Warned) and "is damaged" in event.message]
    assert ended.best_step == 5
    assert "the weights of the last step are kept" in warned.remedy


@pytest.fixture
def on_a_disk(tmp_path, train, small_disks):
    """Trains in a child on a disk of 20 MB; `listener(event, disk)` hears of what happens."""

    def run(examples, listener, **settings):
        def work(disk):
            torch.set_num_threads(1)  # the threads of the parent are not those of the child
            heard = lambda event: listener(event, disk)  # noqa: E731
            try:
                train(examples, name="disk/run", listener=heard, **{**SETTINGS, **settings})
            except FurrowError as error:
                print(error)
                return error.exit_code
            return 0

        return on_small_disk(tmp_path, 20 << 20, work), tmp_path / "kept" / "run"

    return run


def test_a_full_disk_is_waited_for_and_the_run_ends_as_it_would_have(on_a_disk, train, examples):
    def listener(event, disk):
        if isinstance(event, StepEnded) and event.step == 3:
            fill(disk.place, 8192)
        if isinstance(event, SavePaused):
            assert "the disk is full" in event.reason
            assert [path.name for path in (disk.place / "run" / "checkpoints").iterdir()] == [name_of(2)]
            assert damage(disk.place / "run" / "checkpoints" / name_of(2)) is None
            print(f"paused at {event.step}")
            (disk.place / "ballast").unlink()

    child, folder = on_a_disk(examples, listener, save_retry_seconds=30)
    assert child.code == 0, child.said
    assert "paused at 4" in child.said
    _, whole = train(examples, name="whole", **SETTINGS)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [name_of(4)]
    for part in ("final_model", f"checkpoints/{name_of(4)}/model"):
        name = f"{part}/adapter_model.safetensors"
        assert sha256_of(folder / name) == sha256_of(whole / name)


def test_who_does_not_want_to_wait_gets_the_error_and_keeps_what_was_saved(on_a_disk, examples):
    def listener(event, disk):
        assert not isinstance(event, SavePaused)
        if isinstance(event, StepEnded) and event.step == 3:
            fill(disk.place, 8192)

    child, folder = on_a_disk(examples, listener, save_retry_seconds=0)
    assert child.code == 1
    assert f"disk/run/checkpoints/{name_of(4)}: the disk is full (needed: " in child.said
    assert "; free: " in child.said
    assert [path.name for path in (folder / "checkpoints").iterdir()] == [name_of(2)]
    assert damage(folder / "checkpoints" / name_of(2)) is None
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]


def test_waiting_ends_when_the_run_is_to_end_or_the_time_is_over():
    stop, heard = StopRequest(), []

    def full():
        raise StorageError("the disk is full")

    def listener(event):
        heard.append(event)
        if len(heard) == 2:
            threading.Timer(0.2, stop.ask, [2]).start()

    began = time.monotonic()
    with pytest.raises(StorageError):
        patiently(full, seconds=600, step=7, stop=stop, emit=listener)
    assert time.monotonic() - began < 60
    assert [(event.step, round(event.next_try)) for event in heard] == [(7, 1), (7, 2)]
    heard.clear()
    with pytest.raises(StorageError):  # it was asked before: no time is lost
        patiently(full, seconds=600, step=7, stop=stop, emit=heard.append)
    with pytest.raises(StorageError):
        patiently(full, seconds=0.1, step=7, stop=StopRequest(), emit=heard.append)
    assert [event.next_try <= 0.1 for event in heard] == [True]


def test_what_is_no_matter_of_the_disk_is_not_tried_again():
    def broken():
        raise ValueError

    with pytest.raises(ValueError):
        patiently(broken, seconds=600, step=1, stop=StopRequest(), emit=pytest.fail)


@pytest.mark.parametrize(
    ("method", "optim"),
    [(FULL, "adamw"), (FULL, "muon"), (FULL, "adafactor"), (None, "adamw"), (None, "sgd"), ({"type": "dora"}, "lion")],
)
def test_the_space_that_is_reckoned_with_is_that_which_is_taken(train, examples, monkeypatch, method, optim):
    reckoned = []
    monkeypatch.setattr(Space, "require", lambda space, folder, emit: reckoned.append(space))
    _, folder = train(examples, method=method, optim=optim, **{**SETTINGS, "save_total_limit": None})
    [space] = reckoned
    checkpoints = [folder / "checkpoints" / name_of(step) for step in (2, 4)]
    assert space.saves == space.checkpoints == len(checkpoints)
    for checkpoint in checkpoints:
        weights = sum(file.stat().st_size for file in checkpoint.rglob("*.safetensors"))
        beside = sum(
            bytes_of(file) for file in checkpoint.rglob("*") if file.suffix == ".json"
        )  # as large as the rest here
        assert space.checkpoint <= weights + beside
        assert weights <= 1.35 * space.checkpoint + 20_000  # 20 kB: headers of files with a hundred tensors
    assert space.final <= bytes_of(folder / "final_model") <= space.final + 40_000


def test_a_run_that_is_gone_on_with_needs_only_what_is_left(train, examples, monkeypatch):
    reckoned = []
    monkeypatch.setattr(Space, "require", lambda space, folder, emit: reckoned.append(space))
    _, folder = train(examples, **SETTINGS)
    train(examples, resume=folder / "checkpoints" / name_of(4), **{**SETTINGS, "max_steps": 9})
    assert [(space.saves, space.there, space.checkpoints) for space in reckoned] == [(2, 0, 2), (2, 1, 1)]


def test_a_disk_that_is_too_small_is_refused_before_the_first_step(on_a_disk, examples):
    def listener(event, disk):
        assert not isinstance(event, StepEnded)
        if isinstance(event, StageStarted):
            fill(disk.place, 30_000)

    child, folder = on_a_disk(examples, listener, method=FULL)
    assert child.code == 2, child.said
    assert "disk/run/checkpoints: too small a disk: needed: " in child.said
    assert not folder.exists()
