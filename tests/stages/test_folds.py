"""`folds`: the mean and the spread of what the trainings of all folds measured."""

import json
import statistics

import pytest

from furrow.components.errors import RequestError
from furrow.stages.folds import compare_folds


@pytest.fixture
def fold(go, tmp_path):
    """fold(number, **arguments) trains the tiny strategy on that fold of three; gives its folder."""

    def fold(number, folds=3, **arguments):
        place = tmp_path / f"fold{number}"
        settings = {"num_train_epochs": 1, "eval_strategy": "epoch", "save_strategy": "no", "output_dir": str(place)}
        splitter = {"type": "k_fold", "folds": folds, "fold": number}
        data = tmp_path / "qa.jsonl"
        go(arguments={**settings, **arguments}, dataset={"train_file": str(data), "splitter": splitter})
        return place

    return fold


def test_the_mean_and_the_spread_are_those_of_what_the_folds_measured(fold, furrow):
    runs = [fold(number) for number in (1, 2, 3)]
    measured = []
    for run in runs:
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        measured.append([event["eval_loss"] for event in events if event["event"] == "evaluated"][-1])
    found = compare_folds(runs[::-1])
    assert [(each.fold, each.rows) for each in found.runs] == [(1, 4), (2, 4), (3, 4)]
    assert found.mean["eval_loss"] == pytest.approx(statistics.fmean(measured))
    assert found.deviation["eval_loss"] == pytest.approx(statistics.stdev(measured))
    assert (found.of, found.missing) == (3, [])
    ended = furrow("folds", *runs)
    assert f"all\t3 of 3 folds\t\t{found.mean['eval_loss']:.4f} ± {found.deviation['eval_loss']:.4f}" in ended.out


def test_what_cannot_be_compared_is_refused(fold, go, tmp_path):
    first, second = fold(1), fold(2, learning_rate=0.004)
    with pytest.raises(RequestError, match=r"fold2: it is not trained as .*fold1 is: training_args.learning_rate"):
        compare_folds([first, second])
    with pytest.raises(RequestError, match="it is of fold 1, as is"):
        compare_folds([first, first])
    with pytest.raises(RequestError, match="one training has no spread"):
        compare_folds([first])
    with pytest.raises(RequestError, match="there is no run in it"):
        compare_folds([first, tmp_path])
    plain, _ = go(arguments={"num_train_epochs": 1})
    with pytest.raises(RequestError, match="its splitter is 'random'"):
        compare_folds([first, plain.path])


def test_a_run_that_was_not_measured_is_refused(fold):
    with pytest.raises(RequestError, match=r"its kept weights were not measured\n.*eval_strategy"):
        compare_folds([fold(1), fold(2, eval_strategy="no")])
