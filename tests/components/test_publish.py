"""What is published is whole or absent."""

from __future__ import annotations

import pytest

from furrow.components.errors import RequestError
from furrow.components.publish import publish_text, publishing


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(ValueError), publishing(target, overwrite=True) as staging:
        staging.write_text("half")
        raise ValueError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_replaced_whole(tmp_path):
    target = tmp_path / "model"
    for name in ("one", "two"):
        with publishing(target, overwrite=True) as staging:
            staging.mkdir()
            (staging / name).write_text(name)
    assert [file.name for file in target.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_exists_is_refused_before_any_work(tmp_path):
    publish_text(tmp_path / "file", "x")
    with pytest.raises(RequestError, match="exists already"), publishing(tmp_path / "file"):
        pytest.fail("the block must not run")
