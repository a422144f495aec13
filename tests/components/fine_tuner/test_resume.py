"""A run that is interrupted and gone on with ends as one that never was, to the bit."""

from __future__ import annotations

import json

import pytest

from furrow.components.disk.checkpoint_folder import checkpoints_in, damage, name_of
from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import FurrowError
from furrow.components.events import (
    Evaluated,
    MicroBatchShrunk,
    Resumed,
    StepEnded,
    StoppedEarly,
    TrainingEnded,
    TrainingStarted,
    Warned,
)
from furrow.components.fine_tuner.pytorch.engine import memory
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import read_state
from furrow.components.records import Judged, Pair

LORA = {"type": "lora", "r": 4, "dropout": 0.1}
FULL = {"type": "full"}
SETTINGS = {
    "max_steps": 10,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 3,  # 40 rows: an epoch has 7 steps
    "micro_batch_tokens": 64,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 2,
    "weight_decay": 0.1,
    "save_strategy": "steps",
}


class PowerCut(BaseException):
    """Nothing that anybody expects."""


def cut_at(step):
    def listener(event):
        if isinstance(event, StepEnded) and event.step == step:
            raise PowerCut

    return listener


def losses(events):
    return {event.step: event.loss for event in events if isinstance(event, StepEnded)}


def weights(folder):
    [file] = (folder / "final_model").glob("*.safetensors")
    return sha256_of(file)


@pytest.fixture
def interrupted(train):
    """Trains to the end, and again with a cut at a step and on from a checkpoint: both (events, folder)."""

    def run(examples, *, cut, checkpoint, **settings):
        settings = {**SETTINGS, **settings}
        whole = train(examples, name="whole", **settings)
        with pytest.raises(PowerCut):
            train(examples, name="cut", listener=cut_at(cut), **settings)
        folder = whole[1].parent / "cut" / "checkpoints" / name_of(checkpoint)
        return whole, train(examples, name="cut", resume=folder, **settings)

    return run


def assert_same(whole, resumed, checkpoint):
    (events, folder), (events_after, folder_after) = whole, resumed
    assert losses(events_after) == {step: loss for step, loss in losses(events).items() if step > checkpoint}
    assert weights(folder_after) == weights(folder)
    [resumed_at] = [event for event in events_after if isinstance(event, Resumed)]
    assert resumed_at.step == checkpoint
    ends = [next(event for event in each if isinstance(event, TrainingEnded)) for each in (events, events_after)]
    assert ends[0].train_loss == ends[1].train_loss and ends[0].best_step == ends[1].best_step


@pytest.mark.parametrize("optim", ["adamw", "adamw_8bit", "adafactor", "lion", "sgd"])
def test_lora_goes_on_to_the_bit_in_the_middle_of_an_epoch(optim, interrupted, examples):
    if optim == "adamw_8bit":
        pytest.importorskip("bitsandbytes")
    whole, resumed = interrupted(examples, cut=6, checkpoint=4, method=LORA, optim=optim, save_steps=4)
    assert_same(whole, resumed, 4)


@pytest.mark.parametrize("optim", ["adamw", "adamw_8bit", "adafactor", "lion", "sgd", "muon"])
def test_all_weights_go_on_to_the_bit_at_the_end_of_an_epoch(optim, interrupted, examples):
    if optim == "adamw_8bit":
        pytest.importorskip("bitsandbytes")
    whole, resumed = interrupted(examples, cut=8, checkpoint=7, method=FULL, optim=optim, save_strategy="epoch")
    assert_same(whole, resumed, 7)


@pytest.mark.parametrize("method", [{"type": "dora"}, {"type": "pissa"}, {"type": "loraplus"}, {"type": "adalora"}])
def test_methods_that_hold_more_than_two_matrices_go_on_too(method, interrupted, examples):
    whole, resumed = interrupted(examples, cut=6, checkpoint=4, method=method, save_steps=4)
    assert_same(whole, resumed, 4)


def test_the_best_step_is_known_after_a_cut_and_its_checkpoint_stays(interrupted, examples):
    settings = {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "load_best_model_at_end": True,
        "save_total_limit": 1,
        "max_steps": 12,
    }
    (events, folder), (after, folder_after) = interrupted(
        examples[:20],
        cut=9,
        checkpoint=8,
        evaluation=examples[20:],
        save_steps=4,
        learning_rate=0.05,
        method=LORA,
        **settings,
    )
    measured = {event.step: event.eval_loss for event in events if isinstance(event, Evaluated)}
    best = min(measured, key=measured.__getitem__)
    assert best < 8  # what is kept was measured before the cut
    assert_same((events, folder), (after, folder_after), 8)
    assert (
        list(checkpoints_in(folder / "checkpoints")) == list(checkpoints_in(folder_after / "checkpoints")) == [best, 12]
    )


def test_a_damaged_best_checkpoint_is_not_loaded_in_the_end(train, examples):
    settings = {**SETTINGS, "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True, "save_steps": 8}
    settings |= {"method": LORA, "evaluation": examples[20:], "learning_rate": 0.05, "name": "run"}
    events, folder = train(examples[:20], **settings)
    measured = {event.step: event.eval_loss for event in events if isinstance(event, Evaluated)}
    best = min(measured, key=measured.__getitem__)
    file = folder / "checkpoints" / name_of(best) / "trained.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x00")
    after, _ = train(examples[:20], resume=folder / "checkpoints" / name_of(8), **settings)
    [warned] = [event.message for event in after if isinstance(event, Warned) and "best step" in event.message]
    assert f"the best step so far was {best}" in warned
    assert [event.best_step for event in after if isinstance(event, TrainingEnded)] == [10]


def test_early_stopping_counts_on_after_a_cut(interrupted, examples):
    settings = {"eval_strategy": "steps", "eval_steps": 1, "early_stopping": {"patience": 3, "threshold": 10.0}}
    (events, folder), (after, folder_after) = interrupted(
        examples[:20], cut=3, checkpoint=2, evaluation=examples[20:], save_steps=1, method=LORA, **settings
    )
    [stopped] = [event for event in events if isinstance(event, StoppedEarly)]
    assert (stopped.step, stopped.metric, stopped.evaluations) == (4, "eval_loss", 3)  # the first one counts as gain
    assert [event.step for event in after if isinstance(event, StoppedEarly)] == [4]
    assert [event.step for event in events if isinstance(event, TrainingEnded)] == [4]
    assert list(losses(events)) == [1, 2, 3, 4]
    assert_same((events, folder), (after, folder_after), 2)


def test_a_run_that_had_stopped_early_is_not_trained_further(train, examples):
    settings = {
        **SETTINGS,
        "eval_strategy": "steps",
        "eval_steps": 1,
        "early_stopping": {"patience": 1, "threshold": 10},
    }
    _, folder = train(examples[:20], evaluation=examples[20:], save_steps=1, name="one", **settings)
    before = weights(folder)
    events, _ = train(
        examples[:20], evaluation=examples[20:], save_steps=1, name="one",
        resume=folder / "checkpoints" / name_of(2), **settings,
    )  # fmt: skip
    assert not losses(events) and weights(folder) == before


def test_stopping_early_keeps_the_best_weights_where_they_are_wanted(train, examples):
    settings = {**SETTINGS, "learning_rate": 0.3, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "no"}
    settings |= {"lr_scheduler_type": "constant", "warmup_steps": 0, "optim": "sgd", "max_grad_norm": 0}
    events, folder = train(
        examples[:20], evaluation=examples[20:], method=FULL, load_best_model_at_end=True,
        early_stopping={"patience": 2}, **settings,
    )  # fmt: skip
    measured = {event.step: event.eval_loss for event in events if isinstance(event, Evaluated)}
    [ended] = [event for event in events if isinstance(event, TrainingEnded)]
    assert ended.best_step == min(measured, key=measured.__getitem__) < ended.step == max(measured) < 10
    saved = folder / "checkpoints" / name_of(ended.best_step) / "model" / "model.safetensors"
    assert sha256_of(saved) == weights(folder)


def test_a_new_learning_rate_is_not_overruled_by_the_checkpoint(train, examples):
    settings = {**SETTINGS, "lr_scheduler_type": "constant", "save_steps": 4, "max_steps": 6}
    _, folder = train(examples, name="run", **settings)
    settings |= {"learning_rate": 5e-4}
    events, _ = train(examples, name="run", resume=folder / "checkpoints" / name_of(4), **settings)
    assert [event.learning_rate for event in events if isinstance(event, StepEnded)] == [5e-4, 5e-4]


@pytest.mark.parametrize(("asked", "begun"), [("auto", 24), (96, 96)])
def test_the_micro_batch_of_a_checkpoint_goes_on_only_where_none_is_asked_for(
    train, examples, tmp_path, monkeypatch, asked, begun
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    settings = {**SETTINGS, "save_steps": 4, "max_steps": 6, "micro_batch_tokens": 24}
    _, folder = train(examples, name="run", **settings)
    checkpoint = folder / "checkpoints" / name_of(4)
    events, _ = train(examples, name="run", resume=checkpoint, **{**settings, "micro_batch_tokens": asked})
    assert next(event.micro_batch_tokens for event in events if isinstance(event, TrainingStarted)) == begun


def test_a_checkpoint_holds_everything_by_name_and_without_pickle(train, examples):
    _, folder = train(examples, method=LORA, **{**SETTINGS, "save_steps": 10})
    checkpoint = folder / "checkpoints" / name_of(10)
    assert damage(checkpoint) is None
    names = {file.name for file in checkpoint.iterdir()}
    assert names == {"MANIFEST.json", "model", "optimizer.safetensors", "state.json", "trained.safetensors"}
    assert not [file for file in checkpoint.rglob("*") if file.suffix in (".pt", ".bin", ".pkl", ".pth")]
    state, tensors = read_state(checkpoint)
    assert state["step"] == 10 and state["micro_batch_tokens"] == 64
    assert {name.rpartition("/")[0] for name in tensors["optimizer"]} == set(tensors["trained"])
    assert "optimizer.safetensors" in json.loads((checkpoint / "MANIFEST.json").read_text())["files"]


def test_a_checkpoint_of_another_method_is_refused(train, examples):
    _, folder = train(examples, name="run", method=LORA, **{**SETTINGS, "save_steps": 10})
    with pytest.raises(FurrowError, match="another model or method"):
        train(examples, name="run", method={**LORA, "r": 8}, resume=folder / "checkpoints" / name_of(10), **SETTINGS)


@pytest.fixture
def remembered(tmp_path, monkeypatch):
    """What this machine found out about micro-batches, and a way to let it find out less."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def at_most(tokens):
        monkeypatch.setattr(memory, "_remembered", lambda: _Any({"tokens": tokens}))

    return at_most


class _Any(dict):
    """The same for every kind of run."""

    def __init__(self, found):
        self._found = found

    def get(self, key, default=None):
        return self._found


@pytest.mark.parametrize("objective", ["sft", "dpo", "kto"])
@pytest.mark.parametrize("asked", ["auto", 600])
def test_what_the_machine_has_learned_since_changes_no_bit(train, examples, remembered, monkeypatch, objective, asked):
    """Memory has run out since, elsewhere or later in this run: a number to begin with is smaller now."""
    rows = {"sft": lambda: examples, "dpo": lambda: pairs_of(examples), "kto": lambda: judged_of(examples)}[objective]()
    settings = {**SETTINGS, "save_steps": 4, "micro_batch_tokens": asked, "objective": objective, "method": FULL}
    settings["max_steps"] = 6
    sizes, begun = pieces_noted(monkeypatch), []

    def note(event):
        if isinstance(event, TrainingStarted):
            begun.append(list(sizes))
            sizes.clear()

    remembered(600)
    events, folder = train(rows, name="whole", listener=note, **settings)
    with pytest.raises(PowerCut):
        train(rows, name="cut", listener=cut_at(5), **settings)
    remembered(24)
    sizes.clear()
    checkpoint = folder.parent / "cut/checkpoints" / name_of(4)
    after, folder_after = train(rows, name="cut", resume=checkpoint, listener=note, **settings)
    assert begun[0] == begun[1] and max(sizes) > 24  # the reference, and the steps
    assert losses(after) == {step: loss for step, loss in losses(events).items() if step > 4}
    assert weights(folder_after) == weights(folder)


def test_a_micro_batch_that_was_halved_before_the_cut_stays_so(train, examples, monkeypatch, remembered):
    remembered(1024)
    call = Forward.__call__

    def limited(forward, groups):
        if sum(len(one.input_ids) for group in groups for one in group) > 30:
            raise MemoryError
        return call(forward, groups)

    settings = {**SETTINGS, "save_steps": 4, "micro_batch_tokens": 64, "max_steps": 6, "method": FULL}
    monkeypatch.setattr(Forward, "__call__", limited)
    events, folder = train(examples, name="whole", **settings)
    with pytest.raises(PowerCut):
        train(examples, name="cut", listener=cut_at(5), **settings)
    after, folder_after = train(examples, name="cut", resume=folder.parent / "cut/checkpoints" / name_of(4), **settings)
    assert losses(after) == {step: loss for step, loss in losses(events).items() if step > 4}
    assert weights(folder_after) == weights(folder)
    assert not [event for event in after if isinstance(event, MicroBatchShrunk)]


def pieces_noted(monkeypatch):
    """Tokens of everything that goes through the model from here on."""
    call, sizes = Forward.__call__, []

    def noted(forward, groups):
        sizes.append(sum(len(one.input_ids) for group in groups for one in group))
        return call(forward, groups)

    monkeypatch.setattr(Forward, "__call__", noted)
    return sizes


def pairs_of(examples):
    return [Pair(one, one._replace(input_ids=[*one.input_ids[:-1], 9]), one.where) for one in examples]


def judged_of(examples):
    return [Judged(pair.chosen, n % 2 == 0, pair.where, pair.rejected) for n, pair in enumerate(pairs_of(examples))]
