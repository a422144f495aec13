"""What a tracker wrote can be read back."""

import json
import math

import pytest

from furrow.components.events import Evaluated, StepEnded, Warned
from furrow.components.registry import factory, find


def step(number, loss):
    return StepEnded(
        step=number,
        epoch=0.5,
        loss=loss,
        learning_rate=1e-4,
        grad_norm=0.8,
        learned_tokens=5,
        total_tokens=8,
        seconds=0.5,
    )


def tracker(kind, folder):
    component = find("tracker", kind)
    return factory(component)(component.config(), folder)


def test_metrics_hold_every_event_unrounded_on_a_line_of_its_own_at_once(tmp_path):
    write = tracker("jsonl", tmp_path)
    loss = 1.9234567890123456
    for event in (step(1, loss), Warned(message="é\nü")):
        write(event)
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()  # not closed yet
    assert [json.loads(line)["event"] for line in lines] == ["step_ended", "warned"]
    assert json.loads(lines[0])["loss"] == loss
    assert json.loads(lines[1])["message"] == "é\nü"
    write.close()


@pytest.mark.parametrize(("loss", "written"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_a_figure_that_is_no_number_leaves_valid_json(tmp_path, loss, written):
    write = tracker("jsonl", tmp_path)
    write(step(1, loss))
    write.close()

    def refuse(name):
        raise AssertionError(name)

    assert json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)["loss"] == written


def test_a_resumed_run_adds_to_its_metrics(tmp_path):
    for number in (1, 2):
        write = tracker("jsonl", tmp_path)
        write(step(number, 1.0))
        write.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_tensorboard_reads_the_curves_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    write = tracker("tensorboard", tmp_path)
    write(step(1, 2.0))
    write(step(2, 1.5))
    write(Evaluated(step=2, eval_loss=1.0, eval_perplexity=math.e, seconds=0.1))
    write.close()
    read = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/loss")] == [(1, 2.0), (2, 1.5)]
    assert [point.value for point in read.Scalars("train/grad_norm")] == [pytest.approx(0.8)] * 2
    assert [(point.step, point.value) for point in read.Scalars("eval/perplexity")] == [(2, pytest.approx(math.e))]
