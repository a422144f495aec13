"""The rules that watch a run: each speaks up, once, on a run that it is about, and is silent on a healthy one."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest

from furrow.components.events import (
    DataPrepared,
    Evaluated,
    EventStream,
    Sampled,
    StepEnded,
    TrainingEnded,
    TrainingStarted,
    Warned,
)
from furrow.stages.reporting.diagnostics import Diagnostics
from furrow.stages.reporting.diagnostics.answers import is_repetitive

TOTAL, WARM_UP, PEAK = 200, 10, 1e-4
PROSE = "The garden wakes in March, when the soil is warm enough to take a spade and dry enough to hold its shape."


def arguments(**changed):
    settings = {"learning_rate": PEAK, "lr_scheduler_type": "linear", "warmup_ratio": 0.0, "warmup_steps": WARM_UP}
    return SimpleNamespace(**settings | changed)


def prepared(learned=4000):
    return DataPrepared(
        train_rows=80, eval_rows=8, train_tokens=10_000, learned_tokens=learned, truncated_rows=0, dropped_rows=0,
        duplicate_rows=0,
    )  # fmt: skip


def started(total=TOTAL):
    return TrainingStarted(
        total_steps=total, effective_batch_rows=8, trainable_parameters=1, total_parameters=2, device="cpu",
        dtype="float32",
    )  # fmt: skip


def rate(step):
    """Linear with warm-up, said in the other way round: the lower of the two straight lines."""
    return PEAK * min((step - 1) / WARM_UP, (TOTAL - step + 1) / (TOTAL - WARM_UP))


def healthy():
    """200 steps in which the loss falls from 3 to 1 with the noise of small batches, evaluated every 40."""
    chance = random.Random(7)
    events = [prepared(), started()]
    for step in range(1, TOTAL + 1):
        loss = 1 + 2 * math.exp(-step / 40) + chance.gauss(0, 0.15)
        events.append(
            StepEnded(
                step=step,
                epoch=step / 100,
                loss=loss,
                learning_rate=rate(step),
                grad_norm=chance.uniform(0.5, 2),
                learned_tokens=400,
                total_tokens=1000,
                seconds=0.5,
            )
        )
        if step % 40 == 0:
            evaluation = 1.15 + 2 * math.exp(-step / 40)
            events.append(Evaluated(step=step, eval_loss=evaluation, eval_perplexity=math.exp(evaluation), seconds=1))
            events += [Sampled(step=step, prompt="When?", completion=PROSE, reference=PROSE) for _ in range(3)]
    return [*events, TrainingEnded(step=TOTAL, best_step=TOTAL, train_loss=1.2, best_metric=None, seconds=100)]


def warnings(events, settings=None, **config):
    """What is said, heard in the very stream in which it happens."""
    heard = []
    fine_tuner = SimpleNamespace(config=SimpleNamespace(training_args=settings or arguments(), **config))
    stream = EventStream(heard.append)
    stream.subscribe(Diagnostics(SimpleNamespace(fine_tuner=fine_tuner), stream))
    for event in events:
        stream(event)
    assert [event for event in heard if not isinstance(event, Warned)] == list(events)
    return [event for event in heard if isinstance(event, Warned)]


def changed(kind, change):
    return [change(event) if isinstance(event, kind) else event for event in healthy()]


def eval_losses(losses):
    return changed(Evaluated, lambda event: replace(event, eval_loss=losses[event.step]))


def steps(change):
    return changed(StepEnded, change)


def fed(step):
    """One step whose rows are broken."""
    return lambda event: replace(event, loss=12.0, grad_norm=80.0) if event.step == step else event


SICK = {
    "lies 0.": changed(Evaluated, lambda event: replace(event, eval_loss=event.eval_loss + 0.6)),
    "rose from 1.500 (step 80)": eval_losses({40: 1.6, 80: 1.5, 120: 1.55, 160: 1.56, 200: 1.57}),
    "nearly 0": [
        *steps(lambda event: replace(event, loss=3 * math.exp(-event.step / 20)))[:-1],
        Evaluated(step=TOTAL, eval_loss=0.4, eval_perplexity=1.5, seconds=1),
    ],
    "does not fall": steps(lambda event: replace(event, loss=2.5 + 0.1 * math.sin(event.step))),
    "the loss jumps to 12.000": steps(fed(70)),
    "the gradient norm jumps to 80": steps(fed(70)),
    "the schedule is not applied": steps(lambda event: replace(event, learning_rate=PEAK)),
    "400 of 10,000 tokens (4.0%)": [prepared(400), *healthy()[1:]],
    "repeat themselves": changed(Sampled, lambda event: replace(event, completion="It is so. " * 12)),
    "idle for 35%": steps(lambda event: replace(event, idle_share=0.35)),
}


def test_a_healthy_run_is_left_in_peace():
    assert warnings(healthy()) == []


@pytest.mark.parametrize("said", SICK)
def test_each_sickness_is_named_once_with_its_figure_and_a_remedy(said):
    found = warnings(SICK[said])
    assert [said in warning.message for warning in found].count(True) == 1, found
    assert all(warning.remedy for warning in found)
    others = {"nearly 0": 2, "rose": 2, "jumps": 2}  # sicknesses that come together
    assert len(found) <= next((count for part, count in others.items() if part in said), 1), found


@pytest.mark.parametrize("given", [0.0, PEAK * 10])
def test_a_learning_rate_of_zero_or_of_ten_times_the_peak_is_seen(given):
    [warning] = warnings(steps(lambda event: replace(event, learning_rate=given)))
    assert "the schedule is not applied" in warning.message


def test_a_warm_up_that_is_longer_than_the_run_is_seen_before_the_first_step():
    [warning] = warnings([prepared(), started(30)], arguments(warmup_steps=100))
    assert "takes 100 steps, the whole run has 30" in warning.message


@pytest.mark.parametrize(
    "kind",
    ["constant", "constant_with_warmup", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt"],
)
@pytest.mark.parametrize("total", [1, 3, 40])
def test_the_schedules_of_transformers_are_as_scheduled(kind, total):
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=PEAK)
    warm_up = 0 if total == 1 else math.ceil(0.1 * total)
    schedule = get_scheduler(kind, optimizer, num_warmup_steps=warm_up, num_training_steps=total)
    events = [started(total)]
    step = next(event for event in healthy() if isinstance(event, StepEnded))
    for number in range(1, total + 1):
        events.append(replace(step, step=number, learning_rate=schedule.get_last_lr()[0]))
        optimizer.step()
        schedule.step()
    settings = arguments(lr_scheduler_type=kind, warmup_steps=0, warmup_ratio=0.0 if total == 1 else 0.1)
    assert warnings(events, settings) == []


def test_rules_are_silent_where_there_is_nothing_to_judge_by():
    """Another package's fine-tuner without such settings, a classifier that learns no token, an overflow of fp16."""
    assert warnings(steps(lambda event: replace(event, learning_rate=1.0)), SimpleNamespace()) == []
    assert warnings([prepared(0)]) == []
    assert warnings(steps(lambda event: replace(event, grad_norm=math.inf) if event.step < 40 else event)) == []


def test_an_evaluation_loss_below_zero_must_rise_too_before_it_is_said_to():
    falling = steps(lambda event: replace(event, loss=-0.02 - event.step / 1000))
    for last, count in ((-0.01, 0), (-0.005, 1)):
        losses = {40: -0.01, 80: -0.01, 120: -0.01, 160: last, 200: last}
        events = [
            replace(event, eval_loss=losses[event.step]) if isinstance(event, Evaluated) else event for event in falling
        ]
        assert ["rose" in warning.message for warning in warnings(events)].count(True) == count


def test_the_loss_of_a_policy_optimisation_says_nothing_of_what_is_known_by_heart():
    for said in ("lies 0.", "rose from 1.500 (step 80)", "nearly 0"):
        assert warnings(SICK[said], algorithm="grpo") == []


def test_an_early_babble_and_a_repetition_that_was_to_be_learned_are_no_findings():
    babble = "la la la la " * 8
    early = changed(Sampled, lambda event: replace(event, completion=babble) if event.step < 100 else event)
    assert warnings(early) == []
    assert warnings(changed(Sampled, lambda event: replace(event, completion=babble, reference=babble))) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [(PROSE, False), ("yes", False), ("", False), ("and so on " * 9, True), ("哈" * 40, True), ("1, 2, 3", False)],
)
def test_what_repeats_itself(text, wanted):
    assert is_repetitive(text) is wanted


def test_a_base_model_that_repeats_itself_is_not_blamed_on_the_training():
    told = [event for event in healthy() if isinstance(event, Sampled)]
    over_and_over = {"completion": "It is so. " * 12}
    before = replace(told[0], step=0, **over_and_over)
    assert warnings([started(), before, *(replace(event, **over_and_over) for event in told)]) == []


def test_nothing_is_known_by_heart_in_the_first_steps():
    early = [event for event in healthy() if isinstance(event, StepEnded)][:4]
    gap = Evaluated(step=4, eval_loss=early[-1].loss + 2, eval_perplexity=1.0, seconds=1)
    assert warnings([started(), *early, gap]) == []
