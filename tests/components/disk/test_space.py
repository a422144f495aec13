"""What a run will need of a disk: sums by hand, and who is refused, warned or let through."""

from __future__ import annotations

import shutil
from collections import namedtuple

import pytest

from furrow.components.disk.space import Space
from furrow.components.errors import RequestError
from furrow.components.events import Warned

Usage = namedtuple("Usage", "total used free")
MB = 10**6


@pytest.mark.parametrize(
    ("space", "needed"),
    [
        ({"saves": 9, "limit": 2}, 3 * 100),  # two are kept while the third is written
        ({"saves": 2, "limit": 2}, 2 * 100),
        ({"saves": 9, "limit": 2, "best": True}, 4 * 100),
        ({"saves": 9, "limit": 2, "there": 2}, 100),  # of a run that is gone on with
        ({"saves": 9, "limit": 2, "there": 7}, 100),
        ({"saves": 9, "limit": None}, 9 * 100),
        ({"saves": 0, "limit": 2, "final": 40}, 40),
        ({"saves": 9, "limit": 1, "final": 40}, 2 * 100),
        ({"saves": 9, "limit": 1, "final": 40, "exports": 300}, 100 + 40 + 300),
        ({"saves": 9, "limit": None, "final": 40, "exports": 300}, 900 + 40 + 300),
    ],
)
def test_what_is_needed_is_the_most_that_lies_there_at_once(space, needed):
    assert Space(checkpoint=100, **space).needed == needed


@pytest.mark.parametrize(
    ("space", "free", "ends"),
    [
        ({"saves": 9, "limit": 2}, 300, "goes on"),
        ({"saves": 9, "limit": 2}, 299, "refused"),
        ({"saves": 9, "limit": 2, "exports": 400}, 600, "goes on"),
        ({"saves": 9, "limit": 2, "exports": 400}, 599, "warned"),  # exports are an estimate
        ({"saves": 9, "limit": 2, "exports": 400}, 399, "refused"),
        ({"saves": 9, "limit": None}, 900, "goes on"),
        ({"saves": 9, "limit": None}, 899, "warned"),  # somebody may make room in time
        ({"saves": 9, "limit": None}, 99, "refused"),
    ],
)
def test_refused_is_only_what_is_sure_to_fail(space, free, ends, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, free * MB))
    events = []
    space = Space(checkpoint=100 * MB, **{**space, "exports": space.get("exports", 0) * MB})
    if ends == "refused":
        with pytest.raises(RequestError) as raised:
            space.require(tmp_path / "run", events.append)
        said = str(raised.value)
        assert str(tmp_path / "run") in said
    else:
        space.require(tmp_path / "run", events.append)
        assert [type(event) for event in events] == ([Warned] if ends == "warned" else [])
        said = " ".join(f"{event.message} {event.remedy}" for event in events)
    if ends != "goes on":
        assert f"free: {free} MB" in said
        assert "needed: " in said
        assert "save_total_limit" in said


@pytest.mark.parametrize(
    ("space", "remedy"),
    [
        ({"limit": 2, "exports": 1}, "free some, lower save_total_limit, ask for fewer exports or choose"),
        ({"limit": None}, "free some, set save_total_limit or choose"),
        ({"limit": 1}, "free some or choose another output_dir"),
    ],
)
def test_the_remedy_is_what_can_still_be_done(space, remedy):
    assert Space(checkpoint=1, saves=9, **space).remedy.startswith(remedy)


def test_a_refusal_says_what_the_sum_is_made_of(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(0, 0, 5 * MB))
    space = Space(checkpoint=100 * MB, saves=9, limit=1, final=40 * MB, exports=300 * MB)
    with pytest.raises(
        RequestError, match=r"needed: 290 MB \(2 checkpoints of 100 MB, the final model of 40 MB, exports"
    ):
        space.require(tmp_path, pytest.fail)
