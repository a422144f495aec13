"""The rows of the classifier: what is measured was never learned, neither its words nor its crop."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from almanac import topics
from almanac.facts import attributes, crops

from furrow.components.events import Evaluated
from furrow.stages.train import train
from furrow.strategies.files import load

DATASETS = Path(__file__).parents[2] / "demos" / "datasets" / "almanac"


def _named(text: str) -> set[str]:
    """The crops in a sentence; the longest name where one is part of another."""
    found = {crop for crop in crops() if crop in text}
    return {crop for crop in found if not any(crop != other and crop in other for other in found)}


def _wording(text: str) -> str:
    """The first words of a sentence, without the crop."""
    return text[: min(text.find(crop) for crop in _named(text))]


def test_every_topic_has_its_share_of_the_rows() -> None:
    assert set(Counter(row["label"] for row in topics.held_out_rows()).values()) == {36}
    counts = Counter(row["label"] for row in topics.training_rows())
    assert counts.keys() == set(attributes()) and min(counts.values()) > 0.8 * max(counts.values())


def test_no_crop_and_no_wording_that_is_measured_is_learned() -> None:
    learned, measured = topics.training_rows(), topics.held_out_rows()
    learned_crops, measured_crops = (
        {crop for row in rows if row["label"] != "companion" for crop in _named(row["text"])}  # a companion is a crop
        for rows in (learned, measured)
    )
    assert measured_crops == topics.held_out_crops() and not learned_crops & measured_crops
    assert not {row["text"] for row in learned} & {row["text"] for row in measured}
    assert not {(row["label"], _wording(row["text"])) for row in learned} & {
        (row["label"], _wording(row["text"])) for row in measured
    }


@pytest.mark.parametrize(
    ("name", "rows"),
    [("almanac_topics.jsonl", topics.training_rows), ("almanac_topics_heldout.jsonl", topics.held_out_rows)],
)
def test_the_files_in_the_repository_are_those_that_the_generator_writes(name: str, rows: object) -> None:
    lines = (DATASETS / name).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(rows())  # type: ignore[operator]


@pytest.mark.slow
def test_the_shipped_classifier_tells_most_topics_in_words_it_never_saw(tmp_path: Path) -> None:
    """A guess is right in 11 of 100 cases. Wordings count, not rows: of 27 that are new, about 21 are understood."""
    events: list[object] = []
    loaded = load("demo_classification", None, [f"training_args.output_dir={tmp_path / 'run'}"])
    train(loaded, overwrite=False, emit=events.append)
    measured = [event for event in events if isinstance(event, Evaluated)]
    assert max(event.metrics["eval_accuracy"] for event in measured) > 0.7
