"""Whether a checkpoint is whole: what was changed is found, what is hostile is damage, and nothing else is opened."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from furrow.components.disk.checkpoint_folder import (
    FORMAT,
    MANIFEST,
    QUARANTINE,
    checkpoints_in,
    damage,
    name_of,
    newest_whole,
    read_manifest,
    set_aside,
    write_manifest,
)
from furrow.components.disk.storage import StorageError


def saved(folder, step=3):
    checkpoint = folder / name_of(step)
    (checkpoint / "model").mkdir(parents=True)
    (checkpoint / "model" / "weights").write_bytes(b"weights" * 40)
    (checkpoint / "state.json").write_text("{}")
    write_manifest(checkpoint, step)
    return checkpoint


def test_the_manifest_holds_step_versions_and_each_file(tmp_path):
    manifest = json.loads((saved(tmp_path) / MANIFEST).read_text())
    assert manifest["format"] == FORMAT
    assert manifest["step"] == 3
    assert {"furrow", "python", "torch", "safetensors"} <= manifest["versions"].keys()
    assert manifest["files"] == {
        "model/weights": {"sha256": hashlib.sha256(b"weights" * 40).hexdigest(), "bytes": 280},
        "state.json": {"sha256": hashlib.sha256(b"{}").hexdigest(), "bytes": 2},
    }


def test_sums_that_are_known_are_not_computed_again(tmp_path):
    checkpoint = saved(tmp_path)
    write_manifest(checkpoint, 3, {"state.json": ("of the writer", 2)})
    assert read_manifest(checkpoint)["files"]["state.json"] == ("of the writer", 2)


def test_the_older_form_is_verified(tmp_path):
    checkpoint = saved(tmp_path)
    sums = {name: digest for name, (digest, _) in read_manifest(checkpoint)["files"].items()}
    (checkpoint / MANIFEST).write_text(json.dumps({"step": 3, "sha256": sums}))
    assert damage(checkpoint) is None
    (checkpoint / "state.json").write_text("[]")
    assert damage(checkpoint) == "not as it was written: state.json"


def test_a_bit_that_flips_anywhere_in_the_manifest_is_found(tmp_path):
    checkpoint = saved(tmp_path)
    written = (checkpoint / MANIFEST).read_bytes()
    for bit in range(0, 8 * len(written), 7):
        content = bytearray(written)
        content[bit // 8] ^= 1 << bit % 8
        (checkpoint / MANIFEST).write_bytes(content)
        assert damage(checkpoint) is not None, f"bit {bit}"
    (checkpoint / MANIFEST).write_bytes(written)
    assert damage(checkpoint) is None


@pytest.mark.parametrize("file", ["model/weights", "state.json", MANIFEST])
@pytest.mark.parametrize("harm", ["flip", "cut", "longer", "gone", "empty", "link", "pipe"])
def test_any_change_of_any_file_is_found(tmp_path, file, harm):
    checkpoint = saved(tmp_path)
    assert damage(checkpoint) is None
    path = checkpoint / file
    content = bytearray(path.read_bytes())
    match harm:
        case "flip":
            content[len(content) // 2 if file != MANIFEST else content.index(b'"step"') + 2] ^= 4
        case "cut":
            content = content[: len(content) // 2]
        case "longer":
            content += b"x"
        case "empty":
            content.clear()
    if harm in ("gone", "link", "pipe"):
        path.rename(tmp_path / "elsewhere")
        if harm == "link":
            path.symlink_to(tmp_path / "elsewhere")
        if harm == "pipe":
            os.mkfifo(path)
    else:
        path.write_bytes(content)
    assert damage(checkpoint)


def test_what_was_put_in_afterwards_is_found(tmp_path):
    checkpoint = saved(tmp_path)
    (checkpoint / "model" / "pytorch_model.bin").write_bytes(b"\x80\x04")
    assert damage(checkpoint) == "not as it was written: model/pytorch_model.bin"


def test_a_checkpoint_under_another_name_is_found(tmp_path):
    assert "another checkpoint" in damage(saved(tmp_path).rename(tmp_path / name_of(4)))


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"step": 3, "sha256": []}',
        b'{"step": 3, "sha256": {"state.json": 7}}',
        b'{"step": 3, "sha256": {"/etc/passwd": "00", "../../x": "00"}}',
        b'{"step": "3", "sha256": {}}',
        b'{"step": true, "sha256": {}}',
        b'{"step": 3.0, "sha256": {}}',
        b'{"step": -3, "sha256": {}}',
        b'{"step": 1e999, "sha256": {}}',
        b'{"step": ' + b"9" * 5000 + b', "sha256": {}}',
        b'{"format": 2, "step": 3, "files": {}}',
        b'{"format": 1, "step": 3, "files": {"state.json": "00"}}',
        b'{"format": 1, "step": 3, "files": {"state.json": {"sha256": "00"}}}',
        b'{"format": 1, "step": 3, "files": {"state.json": {"sha256": null, "bytes": 2}}}',
        b'{"format": 1, "step": 3, "files": {"\\u0000": {"sha256": "00", "bytes": -1}}}',
        b'{"format": 1, "step": 3, "files": {}, "versions": []}',
        b'{"format": 1, "step": 3, "files": {}}' + b" " * (17 << 20),
    ],
    ids=lambda text: text[:60].decode("latin-1"),
)
def test_a_hostile_manifest_is_damage(tmp_path, manifest):
    checkpoint = saved(tmp_path)
    (checkpoint / MANIFEST).write_bytes(manifest)
    assert damage(checkpoint)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["format", "step", "sha256", "files", "versions"]), JSON | st.just(1) | st.just(3))
)
def test_no_manifest_brings_a_traceback(tmp_path_factory, content):
    checkpoint = tmp_path_factory.mktemp("fuzz") / name_of(3)
    checkpoint.mkdir()
    (checkpoint / "state.json").write_text("{}")
    (checkpoint / MANIFEST).write_text(json.dumps(content))
    assert damage(checkpoint)


def test_the_newest_whole_one_is_taken_and_damaged_ones_are_set_aside(tmp_path):
    for step in (1, 2, 3):
        saved(tmp_path, step)
    (tmp_path / name_of(3) / "state.json").write_text("[]")
    warned = []
    assert newest_whole(tmp_path, warned.append) == tmp_path / name_of(2)
    assert "step-00000003 is damaged: not as it was written: state.json" in warned[0].message
    assert list(checkpoints_in(tmp_path)) == [1, 2]
    assert (tmp_path / QUARANTINE / name_of(3)).is_dir()


@pytest.mark.parametrize("part", [MANIFEST, "model", "state.json"])
def test_one_that_cannot_be_read_now_is_not_taken_for_a_damaged_one(part):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        saved(folder, 1)
        saved(folder, 2)
        (folder / name_of(2) / part).chmod(0)
        with without_rights_over(folder), pytest.raises(StorageError, match=f"{part}.*: it cannot be read now"):
            newest_whole(folder, print)
        assert list(checkpoints_in(folder)) == [1, 2]
        (folder / name_of(2) / part).chmod(0o700)
        assert newest_whole(folder, print) == folder / name_of(2)


@contextlib.contextmanager
def without_rights_over(folder):
    """As its owner, who may move everything there, and not as root, who may read everything."""
    if os.geteuid():
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 65534, 65534)
    try:
        os.seteuid(65534)
    except OSError:
        pytest.skip("this system has no user without rights")
    try:
        yield
    finally:
        os.seteuid(0)


def test_setting_aside_twice_keeps_the_later_one(tmp_path):
    set_aside(saved(tmp_path, 5))
    later = saved(tmp_path, 5)
    (later / "note").write_text("later")
    assert (set_aside(later) / "note").read_text() == "later"


def test_only_the_names_of_checkpoints_are_read_as_checkpoints(tmp_path):
    for name in ("step-00000001", "step-1", "step-000000002x", "step-" + "9" * 400, QUARANTINE):
        (tmp_path / name[:200]).mkdir()
    (tmp_path / "step-00000002").write_text("a file")
    assert list(checkpoints_in(tmp_path)) == [1]
