"""Curves, as text and as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from furrow.stages.reporting.curves import Chart, Series, smoothed, text_curve, thinned
from furrow.stages.reporting.line_chart import chart_svg, number, picture

SVG = "{http://www.w3.org/2000/svg}"


def chart(*series, last=100, title="Loss"):
    return Chart(title, "", series, last)


def drawn(svg):
    """The y coordinates of each line, top to bottom growing."""
    lines = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [[float(point.split(",")[1]) for point in line.get("points").split()] for line in lines]


def test_a_falling_loss_falls():
    points = [(step, 8.0 - step) for step in range(8)]
    assert text_curve(points) == "█▇▆▅▄▃▂▁"
    [line] = drawn(chart_svg(chart(Series("train", points))))
    assert line == sorted(line)  # downwards


def test_many_points_become_as_many_bars_as_fit_and_none_become_nothing():
    assert len(text_curve([(step, step % 7) for step in range(1000)], width=40)) == 40
    assert text_curve([]) == ""


@pytest.mark.parametrize("points", [[(1, 2.0), (2, 2.0)], [(1, 0.0)], [(7, 1e-12), (9, 1e-12)], [(1, -5.0), (2, 1e9)]])
def test_flat_single_and_huge_curves_can_be_drawn(points):
    assert text_curve(points)
    svg = chart_svg(chart(Series("train", points)))
    assert "nan" not in svg and "inf" not in svg
    assert all(40 <= y <= 220 for line in drawn(svg) for y in line)


def test_a_long_run_is_thinned_and_keeps_its_spike():
    points = [(step, 1.0) for step in range(1, 50_001)]
    points[30_000] = (30_001, 99.0)
    few = thinned(points)
    assert len(few) <= 400 and (30_001, 99.0) in few and [step for step, _ in few] == sorted(step for step, _ in few)
    assert thinned(points[:400]) == points[:400]


def test_a_noisy_line_has_its_mean_drawn_on_it():
    points = [(step, float(step % 2)) for step in range(1, 101)]
    assert smoothed(points, 4)[-1] == (100, 0.5) and smoothed(points, 4)[0] == (1, 1.0)
    noisy, mean = drawn(chart_svg(chart(Series("train", points, noisy=True))))
    assert max(mean[10:]) - min(mean[10:]) < 0.3 * (max(noisy) - min(noisy))


def test_what_was_measured_is_marked_with_its_number():
    svg = chart_svg(chart(Series("train", [(1, 2.0), (9, 1.0)]), Series("eval", [(9, 1.5)], measured=True), last=9))
    assert svg.count("<circle") == 1 and "step 9: 1.5" in svg
    assert 'aria-label="Loss: train 1, eval 1.5"' in svg


def test_names_cannot_break_the_picture():
    evil = '</svg><script>alert("x")</script>&'
    svg = picture([chart(Series(evil, [(1, 1.0), (2, 2.0)]), title=evil)] * 3)
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg" and "<script" not in svg
    assert [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")].count(evil) == 3


@pytest.mark.parametrize(
    ("value", "written"), [(0.0, "0"), (1234.6, "1,235"), (0.25, "0.25"), (2e-5, "2e-05"), (1.23456, "1.235")]
)
def test_numbers_are_short(value, written):
    assert number(value) == written
