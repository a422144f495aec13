"""Places, lengths and padding by hand; and an inspection as JSON."""

import json

import numpy as np
import pytest

from furrow.stages.data.inspection.figures import lengths_of, padding
from furrow.stages.data.inspection.findings import Finding, Inspection, RowFigures
from furrow.stages.data.places import Places


@pytest.mark.parametrize(
    "place",
    ["a.jsonl:1", "b/c.csv:12345678901", "no line", "folder/text.md", "x:007", "x:", "C:\\d.txt:3", "x:١٢", ":5"],
)
def test_a_place_comes_back_as_it_was(place):
    assert list(Places(["first:1", place, "last:2"])) == ["first:1", place, "last:2"]


def test_places_are_a_sequence():
    places = Places(f"d.jsonl:{line}" for line in range(10))
    assert (len(places), places[3], places[-1], places[2:4]) == (
        10,
        "d.jsonl:3",
        "d.jsonl:9",
        ["d.jsonl:2", "d.jsonl:3"],
    )
    assert places == [f"d.jsonl:{line}" for line in range(10)] and not Places()


def test_lengths_by_hand():
    lengths = lengths_of("row", "tokens", [4, 1, 3, 2, 90])
    assert (lengths.total, lengths.mean, lengths.percentiles["50"]) == (100, 20.0, 3)
    assert (lengths.percentiles["0"], lengths.percentiles["100"]) == (1, 90)
    edges, counts = lengths.histogram.edges, lengths.histogram.counts
    assert len(edges) == len(counts) + 1 and sum(counts) == 5 and edges[0] == 0 and edges[-1] > 90
    assert counts[:3] == [2, 2, 0] and counts[30] == 1  # bins of 3: up to 2, up to 5, …, 90 to 92
    assert lengths_of("row", "tokens", []) is None


def test_padding_by_hand():
    lengths = np.array([1, 3, 1, 3])
    assert padding(lengths, 4) == (1 - 8 / 12, 1 - 8 / 12)
    assert padding(lengths, 2)[1] == 0.0
    assert padding(np.array([2, 2, 5]), 2)[1] == 0.0  # the last batch has one row
    assert padding(np.array([], dtype=int), 2) == (0.0, 0.0)


def test_an_inspection_is_plain_json():
    finding = Finding("empty", "error", "2 rows: the answer is empty", Places(["d:1", "d:2"]), "x", ["…"])
    lengths = [lengths_of("row", "tokens", np.array([1, 2]))]
    inspection = Inspection("s", ["d"], RowFigures(3, 1, 0, 0, 2, 0), lengths=lengths, findings=[finding])
    told = json.loads(json.dumps(inspection.as_json()))
    assert told["rows"]["train"] == 2 and told["lengths"][0]["histogram"]["counts"] == lengths[0].histogram.counts
    assert told["findings"] == [
        {
            "rule": "empty",
            "severity": "error",
            "message": "2 rows: the answer is empty",
            "where": ["d:1", "d:2"],
            "setting": "x",
            "examples": ["…"],
            "count": 2,
        }
    ]
    assert inspection.errors == [finding]


def test_places_of_more_files_than_two_bytes_count_come_back_from_their_arrays():
    places = Places([f"{name}.txt" for name in range(70_000)] + ["d.jsonl:12"])
    again = Places.of(places.files, places.lines)
    again.add("69999.txt")
    assert again[69_999] == "69999.txt" and again[70_000:] == ["d.jsonl:12", "69999.txt"]
    assert len(again.files) == 70_001
