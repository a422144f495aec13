"""A histogram as SVG: bars as high as their counts, the limit where it lies."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from furrow.stages.reporting.histogram import Bars, Limit, histogram_svg, short

SPACE = "{http://www.w3.org/2000/svg}"


def drawn(**settings):
    bars = Bars(**{"title": "Rows", "unit": "tokens", "edges": [0, 10, 20, 30, 40], "counts": [2, 4, 0, 1], **settings})
    return ElementTree.fromstring(histogram_svg(bars))


def rectangles(svg):
    return [
        {name: float(each.get(name)) for name in ("x", "y", "width", "height")} for each in svg.iter(f"{SPACE}rect")
    ]


def test_a_bar_is_as_high_as_its_count_and_stands_at_its_place():
    low, high, last = rectangles(drawn())
    assert high["height"] == pytest.approx(2 * low["height"], abs=0.2)
    assert last["height"] == pytest.approx(high["height"] / 4, abs=0.2)
    assert high["x"] - low["x"] == pytest.approx((last["x"] - high["x"]) / 2, abs=0.2)
    assert len({each["y"] + each["height"] for each in (low, high, last)}) == 1


def test_each_bar_says_its_range_and_its_count():
    assert [title.text for title in drawn().iter(f"{SPACE}title")] == [
        "0 to 10 tokens: 2",
        "10 to 20 tokens: 4",
        "30 to 40 tokens: 1",
    ]


def test_one_among_a_million_is_still_seen():
    assert rectangles(drawn(counts=[1_000_000, 0, 0, 1]))[1]["height"] >= 1


def test_the_limit_lies_within_its_bin_and_what_is_beyond_has_its_colour():
    svg = drawn(limit=Limit(15, "max_length 15"), counts=[1, 1, 1, 1])
    bars = rectangles(svg)
    [limit] = [float(line.get("x1")) for line in svg.iter(f"{SPACE}line") if line.get("class") == "limit"]
    assert limit == pytest.approx(bars[1]["x"] + bars[1]["width"] / 2, abs=1)
    assert [each.get("class") for each in svg.iter(f"{SPACE}rect")] == ["bar", "bar", "bar over", "bar over"]
    assert "max_length 15" in "".join(svg.itertext())


def test_what_is_as_long_as_the_limit_allows_is_not_beyond_it():
    svg = drawn(limit=Limit(20, "max_length 20"), counts=[1, 1, 1, 1])
    assert [each.get("class") for each in svg.iter(f"{SPACE}rect")] == ["bar", "bar", "bar", "bar over"]


def test_a_limit_far_beyond_all_bars_is_not_drawn():
    svg = drawn(limit=Limit(2048, "max_length 2,048"))
    assert all(line.get("class") == "grid" for line in svg.iter(f"{SPACE}line"))


def test_bins_of_any_width_take_a_limit():
    svg = drawn(edges=[0, 1, 10, 100, 1000], limit=Limit(55, "55"), counts=[1, 1, 1, 1])
    bars = rectangles(svg)
    [limit] = [float(line.get("x1")) for line in svg.iter(f"{SPACE}line") if line.get("class") == "limit"]
    assert limit == pytest.approx(bars[2]["x"] + bars[2]["width"] / 2, abs=1)


def test_names_are_text_and_nothing_else():
    svg = drawn(title="<script>x</script>\x1b[31m", unit='"&<', told="</svg>")
    assert {each.tag.removeprefix(SPACE) for each in svg.iter()} == {"svg", "text", "line", "rect", "title"}
    assert "<script>x</script>" in "".join(svg.itertext())


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (950, "950"), (1000, "1k"), (12_500, "12.5k"), (3e6, "3M"), (0.25, "0.25")]
)
def test_numbers_on_an_axis_are_short(value, text):
    assert short(value) == text
