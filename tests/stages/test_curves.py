"""Curves for a terminal."""

from __future__ import annotations

from furrow.stages.curves import picture, text_curve


def test_a_falling_loss_falls():
    assert text_curve([(step, 8.0 - step) for step in range(8)]) == "█▇▆▅▄▃▂▁"


def test_many_points_become_as_many_bars_as_fit_and_none_become_nothing():
    assert len(text_curve([(step, step % 7) for step in range(1000)], width=40)) == 40
    assert text_curve([]) == ""


def test_a_flat_curve_is_no_division_by_zero():
    assert text_curve([(1, 2.0), (2, 2.0)]) == "▁▁"


def test_the_picture_is_a_png(tmp_path):
    picture(tmp_path / "loss.png", [(1, 2.0), (2, 1.0)], [(2, 1.5)])
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
