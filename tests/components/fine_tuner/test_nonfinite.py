"""nan and inf, planted where they come from: in what a row makes of the model, in gradients, in weights."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from transformers import AutoModelForCausalLM

from furrow.components.disk.checkpoint_folder import checkpoints_in, name_of
from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import FurrowError
from furrow.components.events import (
    CheckpointSaved,
    Evaluated,
    NonFinite,
    RolledBack,
    StepEnded,
    StoppedEarly,
    TrainingEnded,
    Warned,
)
from furrow.components.fine_tuner.pytorch import fine_tuner
from furrow.components.fine_tuner.pytorch.engine.batches import BatchPlan
from furrow.components.fine_tuner.pytorch.engine.nonfinite import Setbacks, nonfinite_weight
from furrow.components.fine_tuner.pytorch.keeping.checkpoints import read_state
from furrow.components.fine_tuner.pytorch.training_args import TrainingArgsConfig
from furrow.components.records import Example, Judged, Pair

LORA, FULL = {"type": "lora", "r": 4, "dropout": 0.2}, {"type": "full"}
BAD = 303
"""A token that no row has by itself."""
AT = 5
SETTINGS = {
    "max_steps": 8,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 2,  # 40 rows: an epoch has 10 steps
    "micro_batch_tokens": 24,
    "learning_rate": 1e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 2,
    "weight_decay": 0.1,
    "method": LORA,
}


class PowerCut(BaseException):
    """Nothing that anybody expects."""


EVERY = {"save_strategy": "steps", "save_steps": 1}


@pytest.fixture
def plant(monkeypatch):
    """What is handed to it is done to every loop before it runs."""

    def planted(harm):
        assemble = fine_tuner.assemble

        def harmed(*given):
            loop = assemble(*given)
            harm(loop)
            return loop

        monkeypatch.setattr(fine_tuner, "assemble", harmed)

    return planted


def in_the_loss(value=math.nan):
    """What the embedding gives for BAD overflows."""

    def harm(loop):
        def hook(module, given, out):
            return torch.where((given[0] == BAD)[..., None], value, out)

        loop.forward.base.get_input_embeddings().register_forward_hook(hook)

    return harm


def in_the_gradient(loop):
    """The loss is as it should be, and the way back from a sequence with BAD is not."""

    def hook(module, given, out):
        ids = loop.seeds.layout.input_ids
        if out.requires_grad and (ids == BAD).any():
            out.register_hook(lambda gradient: gradient * math.inf)

    loop.forward.decoder.norm.register_forward_hook(hook)


def in_the_weights(at, times=None):
    """A trained weight is nan when that step begins, each time or so many times."""

    def harm(loop):
        step_of, left = loop._step, [times]

        def step(number, batch):
            if number == at and left[0] != 0:
                left[0] = None if left[0] is None else left[0] - 1
                loop._trained[0].data.view(-1)[3] = math.nan
            return step_of(number, batch)

        loop._step = step

    return harm


def with_bad_row(examples, number=0):
    row = examples[number]
    changed = list(examples)
    changed[number] = row._replace(input_ids=[BAD, *row.input_ids[1:]])
    return changed


def steps_of(events):
    return [event for event in events if isinstance(event, StepEnded)]


def losses(events):
    return {event.step: event.loss for event in steps_of(events)}  # of a step done twice, the later


def only(events, kind):
    return [event for event in events if isinstance(event, kind)]


def final(folder):
    [file] = (folder / "final_model").glob("*.safetensors")
    return sha256_of(file)


@pytest.fixture
def bad(examples):
    """(rows of which one is bad, where that one stands); it comes in step AT."""
    plan = BatchPlan(rows=len(examples), effective_rows=4, epochs=1, max_steps=8, seed=42)
    number = dict(plan.steps())[AT][2]
    return with_bad_row(examples, number), examples[number].where


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("method", [LORA, FULL], ids=["lora", "full"])
def test_a_run_stops_at_the_step_and_names_the_row_and_keeps_nothing_of_it(train, bad, plant, tmp_path, method, value):
    rows, where = bad
    seen = []
    plant(in_the_loss(value))
    with pytest.raises(
        FurrowError, match=rf"^the loss is (nan|inf) at step 5 .*; so it is with {where} alone"
    ) as ended:
        train(rows, listener=seen.append, **SETTINGS | {"method": method, "save_strategy": "steps", "save_steps": 1})
    assert "learning rate 0.00075" in str(ended.value) and "on_nonfinite" in ended.value.remedy
    [found] = only(seen, NonFinite)
    assert (found.step, found.what, found.guilty, found.action) == (AT, "loss", [where], "stop")
    assert where in found.rows and len(found.rows) == 4
    assert [event.step for event in steps_of(seen)] == [1, 2, 3, 4]
    assert list(checkpoints_in(tmp_path / "run/checkpoints")) == [1, 2, 3, 4]
    assert not (tmp_path / "run/final_model").exists()


@pytest.mark.parametrize("norm", [1.0, 0.0])
@pytest.mark.parametrize("tokens", [16, 400])
def test_a_gradient_that_is_not_finite_is_found_with_clipping_and_without_and_its_row_too(
    train, bad, plant, norm, tokens
):
    rows, where = bad
    plant(in_the_gradient)
    settings = SETTINGS | {"max_grad_norm": norm, "micro_batch_tokens": tokens}
    with pytest.raises(
        FurrowError, match=rf"^the gradient norm is (nan|inf) at step 5 .*; so it is with {where} alone"
    ):
        train(rows, **settings)


def test_weights_that_are_not_finite_are_blamed_and_not_the_rows(train, examples, plant):
    plant(in_the_weights(at=5))
    with pytest.raises(
        FurrowError, match=r"loss is nan at step 5 .*the weight \S+lora_A\S+ is not finite since the upd"
    ):
        train(examples, **SETTINGS, on_nonfinite="skip")  # which would help nothing


OPTIMIZERS = ["adamw", "adamw_8bit", "adafactor", "lion", "sgd"]


def rate(step):
    """Of a cosine from 1e-3 to 0 over 8 steps, the first two of them warm-up: what step number `step` is made with."""
    done = step - 1
    return 1e-3 * (done / 2 if done < 2 else (1 + math.cos(math.pi * (done - 2) / 6)) / 2)


@pytest.mark.parametrize(
    ("method", "optim", "harm"),
    [
        *((LORA, optim, in_the_loss()) for optim in OPTIMIZERS),
        (LORA, "adamw", in_the_gradient),
        (FULL, "muon", in_the_gradient),
        (FULL, "adamw", in_the_loss()),
        ({"type": "adalora"}, "adamw", in_the_loss()),
    ],
)
def test_a_skipped_batch_changes_nothing_and_the_curve_goes_on(train, bad, plant, method, optim, harm):
    if optim == "adamw_8bit":
        pytest.importorskip("bitsandbytes")
    rows, where = bad
    plant(harm)
    events, folder = train(rows, **SETTINGS | {"method": method}, **EVERY, optim=optim, on_nonfinite="skip")
    before, after = (folder / "checkpoints" / name_of(step) for step in (AT - 1, AT))
    files = {file.relative_to(before): file for file in before.rglob("*.safetensors")}
    assert len(files) > 1 and all(sha256_of(file) == sha256_of(after / name) for name, file in files.items())
    [state, state_after] = [read_state(checkpoint)[0] for checkpoint in (before, after)]
    assert (state["setbacks"]["skipped"], state_after["setbacks"]["skipped"]) == ([], [AT])
    same = ("total_loss", "total_learned", "optimizer", "best")
    assert all(state[name] == state_after[name] for name in same)
    assert [event.step for event in steps_of(events)] == [1, 2, 3, 4, 6, 7, 8]
    assert all(event.learning_rate == pytest.approx(rate(event.step)) for event in steps_of(events))
    assert all(math.isfinite(event.loss) for event in steps_of(events))
    [found] = only(events, NonFinite)
    assert (found.step, found.guilty, found.action) == (AT, [where], "skip")
    assert only(events, TrainingEnded)[0].train_loss == pytest.approx(weighted_mean(events))


def test_more_skipped_steps_in_a_row_than_are_borne_end_the_run(train, examples, plant):
    rows = [row._replace(input_ids=[BAD, *row.input_ids[1:]]) for row in examples]
    plant(in_the_loss())
    seen = []
    with pytest.raises(FurrowError, match=r"at step 4 .*the 3 steps before it were skipped for the like"):
        train(rows, listener=seen.append, **SETTINGS, on_nonfinite={"action": "skip", "limit": 3})
    assert [event.step for event in only(seen, NonFinite)] == [1, 2, 3, 4]
    assert sorted(only(seen, NonFinite)[0].guilty) == sorted(only(seen, NonFinite)[0].rows)


ROLLBACK = {"action": "rollback", "learning_rate_scale": 0.25}


def test_a_rollback_goes_on_from_the_newest_checkpoint_without_the_batch_at_a_lower_rate(train, bad, plant):
    plant(in_the_loss())
    events, _ = train(bad[0], **SETTINGS, save_strategy="steps", save_steps=3, on_nonfinite=ROLLBACK)
    assert [event.step for event in steps_of(events)] == [1, 2, 3, 4, 4, 6, 7, 8]
    [back] = only(events, RolledBack)
    assert (back.step, back.skipped, back.learning_rate_scale) == (3, AT, 0.25)
    first, second = steps_of(events)[:4], steps_of(events)[4:]
    assert all(event.learning_rate == pytest.approx(rate(event.step)) for event in first)
    assert all(event.learning_rate == pytest.approx(0.25 * rate(event.step)) for event in second)
    assert first[3].loss == second[0].loss  # the same weights on the same rows with the same zeros of dropout
    assert [event.step for event in only(events, CheckpointSaved)] == [0, 3, 6]
    assert only(events, TrainingEnded)[0].train_loss == pytest.approx(weighted_mean(events))


def weighted_mean(events):
    counted = {event.step: (event.loss, event.learned_tokens) for event in steps_of(events)}
    return sum(loss * tokens for loss, tokens in counted.values()) / sum(tokens for _, tokens in counted.values())


@pytest.mark.parametrize(
    ("method", "optim"),
    [(FULL, "adamw"), (FULL, "muon"), ({"type": "adalora"}, "adamw_8bit"), ({"type": "pissa"}, "adamw")],
)
def test_after_a_rollback_to_the_start_the_run_is_one_that_began_at_the_lower_rate_without_the_batch(
    train, bad, plant, monkeypatch, method, optim
):
    rows, _ = bad
    settings = SETTINGS | {"method": method, "optim": optim}

    def without(loop):
        loop.numbers.setbacks = Setbacks(skipped={AT})

    with monkeypatch.context():
        plant(without)
        lower, reference = train(rows, name="lower", **settings | {"learning_rate": 2.5e-4})
        monkeypatch.undo()
    plant(in_the_loss())
    events, folder = train(rows, **settings, on_nonfinite=ROLLBACK)
    assert losses(lower) == losses(events)
    assert final(reference) == final(folder)


def test_rollbacks_add_up_and_end_at_their_limit(train, examples, plant):
    rows = [row._replace(input_ids=[BAD, *row.input_ids[1:]]) for row in examples]
    plant(in_the_loss())
    seen = []
    with pytest.raises(FurrowError, match=r"at step 4 .*the run was rolled back 3 times before"):
        train(rows, listener=seen.append, **SETTINGS, on_nonfinite={"action": "rollback", "limit": 3})
    assert [event.learning_rate_scale for event in only(seen, RolledBack)] == [0.5, 0.25, 0.125]
    assert [event.skipped for event in only(seen, RolledBack)] == [1, 2, 3]


@pytest.mark.parametrize("saving", [{"save_strategy": "no"}, {"save_strategy": "steps", "save_steps": 1}])
def test_weights_that_an_update_broke_reach_no_checkpoint_and_no_final_model(train, examples, tmp_path, saving):
    settings = {**SETTINGS, **saving, "method": FULL, "optim": "sgd", "max_grad_norm": 0.0, "weight_decay": 1e30}
    settings |= {"lr_scheduler_type": "constant", "warmup_steps": 0, "max_steps": 1, "learning_rate": 1e30}
    with pytest.raises(FurrowError, match=r"a weight is \S+ at step 1 .* is not finite since the update of step 1"):
        train(examples, **settings)
    assert not list(checkpoints_in(tmp_path / "run/checkpoints")) and not (tmp_path / "run/final_model").exists()


def test_a_rollback_from_broken_weights_leaves_out_the_step_that_broke_them(train, examples, plant):
    plant(in_the_weights(at=5, times=1))
    events, _ = train(examples, **SETTINGS, on_nonfinite="rollback", save_strategy="steps", save_steps=3)
    [found] = only(events, NonFinite)
    assert (found.step, found.since) == (5, 4) and "lora_A" in found.weight
    assert [event.step for event in steps_of(events)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [event.skipped for event in only(events, RolledBack)] == [4]


def test_where_the_newest_checkpoint_is_damaged_the_one_before_it_is_gone_back_to(train, bad, plant, tmp_path):
    rows, _ = bad

    def harm(event):
        if isinstance(event, CheckpointSaved) and event.step == 4:
            file = tmp_path / "run/checkpoints" / name_of(4) / "trained.safetensors"
            file.write_bytes(file.read_bytes()[:-1] + b"\x01")

    plant(in_the_loss())
    events, _ = train(rows, listener=harm, **SETTINGS, on_nonfinite=ROLLBACK, save_strategy="steps", save_steps=2)
    assert [event.step for event in only(events, RolledBack)] == [2]
    assert [event for event in only(events, Warned) if "step-00000004 is damaged" in event.message]
    assert [event.step for event in only(events, CheckpointSaved)] == [0, 2, 4, 4, 6, 8]


@pytest.mark.parametrize("action", ["skip", "rollback"])
@pytest.mark.parametrize(("saved", "cuts"), [pytest.param(1, (5,), marks=pytest.mark.slow), (3, (4, 6))])
def test_a_run_that_is_killed_around_a_setback_ends_as_one_that_never_was(train, bad, plant, action, saved, cuts):
    rows, _ = bad
    settings = {**SETTINGS, "on_nonfinite": action, "save_strategy": "steps", "save_steps": saved}
    plant(in_the_loss())
    whole, folder = train(rows, name="whole", **settings)
    for cut in cuts:  # steps that were done when the power went, those of before the rollback too
        seen = []

        def kill(event, cut=cut, seen=seen):
            seen.append(event)
            if len(steps_of(seen)) == cut:
                raise PowerCut

        name = f"cut-{cut}"
        with pytest.raises(PowerCut):
            train(rows, name=name, listener=kill, **settings)
        checkpoints = folder.parent / name / "checkpoints"
        newest = max(checkpoints_in(checkpoints))
        after, resumed = train(rows, name=name, resume=checkpoints / name_of(newest), **settings)
        assert final(resumed) == final(folder)
        assert losses([*seen, *after]) == losses(whole)
        [ended], [whole_ended] = only(after, TrainingEnded), only(whole, TrainingEnded)
        assert ended.train_loss == whole_ended.train_loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_evaluation_that_is_not_finite_is_never_the_best_and_its_rows_are_named(train, examples, plant, value):
    plant(in_the_loss(value))
    evaluation = with_bad_row(examples[30:], 4)
    settings = {**SETTINGS, "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True}
    events, folder = train(examples[:30], evaluation, **settings, early_stopping={"patience": 3})
    assert [event.step for event in only(events, Evaluated)] == [2, 4, 6]
    assert only(events, StoppedEarly)[0].best is None
    [ended] = only(events, TrainingEnded)
    assert ended.best_step == ended.step == 6 and ended.best_metric is None
    [warned] = [event for event in only(events, Warned) if "evaluation loss" in event.message]
    assert evaluation[4].where in warned.message and evaluation[3].where not in warned.message
    assert not list(checkpoints_in(folder / "checkpoints"))


def test_an_evaluation_of_broken_weights_is_not_told_as_one(train, examples, plant):
    def harm(loop):
        evaluate = loop.evaluate

        def broken(step):
            loop._trained[0].data.view(-1)[3] = math.nan
            return evaluate(step)

        loop.evaluate = broken

    plant(harm)
    seen = []
    with pytest.raises(FurrowError, match=r"a weight is nan at step 2 .* since the update of step 2"):
        train(examples[:30], examples[30:], listener=seen.append, **SETTINGS, eval_strategy="steps", eval_steps=2)
    assert not only(seen, Evaluated)


def test_rows_of_other_objectives_and_packs_are_named_too(train, examples, plant, tiny_model):
    plant(in_the_loss())

    def answers(given, where, bad):
        row = Example([*given, 7, 8], [False] * len(given) + [True] * 2, where)
        return row._replace(input_ids=[*given, BAD, 8]) if bad else row

    pairs = [
        Pair(answers([3, n + 4], f"p:{n}", False), answers([3, n + 4], f"p:{n}", n == 2), f"p:{n}") for n in range(4)
    ]
    settings = SETTINGS | {"method": FULL, "max_steps": 2}
    with pytest.raises(FurrowError, match="so it is with p:2 alone"):
        train(pairs, objective="orpo", **settings)
    judged = [Judged(pair.rejected, True, pair.where, pairs[0].chosen) for pair in pairs]
    with pytest.raises(FurrowError, match="so it is with p:2 alone"):
        train(judged, objective="kto", **settings)
    with pytest.raises(FurrowError, match=r"so it is with rows\.jsonl:3 alone"):
        train(with_bad_row(examples[:8], 2), packing=True, **settings)


def under_a_scaler(scale, harm):
    """As with fp16: a real scaler of that scale, and one more harm."""

    def both(loop):
        harm(loop)
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        loop.accelerator.scaler = scaler
        loop._prepared = AcceleratedOptimizer(loop.optimizer, device_placement=False, scaler=scaler)
        loop.accelerator.unscale_gradients = lambda: scaler.unscale_(loop.optimizer)

    return both


def scales(folder):
    return {
        step: read_state(path)[0]["scaler"]["scale"] for step, path in checkpoints_in(folder / "checkpoints").items()
    }


def test_an_overflow_under_the_scaler_is_its_own_business(train, bad, plant):
    plant(under_a_scaler(1024.0, in_the_gradient))
    events, folder = train(bad[0], **SETTINGS, **EVERY)
    assert not only(events, NonFinite)
    assert [event.step for event in steps_of(events) if not math.isfinite(event.grad_norm)] == [AT]
    assert scales(folder) == {step: 1024.0 if step < AT else 512.0 for step in range(1, 9)}


def test_a_gradient_that_no_scale_mends_is_not_waited_for(train, bad, plant):
    plant(under_a_scaler(2.0**-11, in_the_gradient))
    with pytest.raises(FurrowError, match=rf"the gradient norm is (nan|inf) at step {AT} .* {bad[1]} alone"):
        train(bad[0], **SETTINGS)


def test_a_skipped_batch_does_not_move_the_scale(train, bad, plant):
    plant(under_a_scaler(1024.0, in_the_loss()))
    events, folder = train(bad[0], **SETTINGS, **EVERY, on_nonfinite="skip")
    assert [event.step for event in only(events, NonFinite)] == [AT]
    assert [event.step for event in steps_of(events)] == [1, 2, 3, 4, 6, 7, 8]
    assert set(scales(folder).values()) == {1024.0}


def test_a_base_model_that_holds_nan_is_refused_before_training(tiny_model, tmp_path):
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = math.nan
    broken = tmp_path / "broken"
    model.save_pretrained(broken)
    for file in tiny_model.glob("*token*"):
        (broken / file.name).write_bytes(file.read_bytes())
    settings = json.dumps({"base_model": {"path": str(broken)}, "hardware": {"device": "cpu"}})
    tuner = fine_tuner.PyTorchFineTuner(fine_tuner.PyTorchConfig.model_validate_json(settings))
    tuner.start()
    with pytest.raises(FurrowError, match=r"holds nan in model\.layers\.1\.mlp\.up_proj\.weight") as refused:
        tuner._load(None).result()
    assert refused.value.where == "base_model"


def test_the_first_weight_that_is_not_finite_is_found_in_every_number_type():
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        good = torch.full((100, 100), 60000.0, dtype=dtype)
        for value in (math.nan, math.inf, -math.inf):
            wrong = good.clone()
            wrong[99, 99] = value
            named = [("a", good), ("codes", torch.zeros(3, dtype=torch.uint8)), ("none", torch.empty(0)), ("b", wrong)]
            name, found = nonfinite_weight(named)
            assert name == "b" and str(found) == str(value)
        assert nonfinite_weight([("a", good)]) is None
    assert nonfinite_weight([]) is None


def test_setbacks_are_the_same_after_a_checkpoint():
    setbacks = Setbacks({1, 7})
    setbacks.roll_back(8, 0.5)
    again = Setbacks.of(json.loads(json.dumps(setbacks.numbers())))
    assert again == setbacks and again.skipped_before(9) == 2 and again.skipped_before(7) == 0
    assert Setbacks.of({}) == Setbacks()


def arguments(**given):
    return TrainingArgsConfig.model_validate_json(json.dumps(given))


def test_the_setting_is_a_word_or_a_mapping():
    assert arguments().on_nonfinite.action == "stop"
    assert arguments(on_nonfinite="skip").on_nonfinite.limit == 5
    assert arguments(on_nonfinite=ROLLBACK).on_nonfinite.learning_rate_scale == 0.25
    for wrong, why in [
        ("ignore", "'stop', 'skip' or 'rollback'"),
        ({"action": "skip", "learning_rate_scale": 0.1}, "belongs to rollback; the action is skip"),
        ({"limit": 3}, "belongs to skip and rollback; the action is stop"),
        ({"action": "rollback", "learning_rate_scale": 2}, "less than or equal to 1"),
    ]:
        with pytest.raises(ValueError, match=why):
            arguments(on_nonfinite=wrong)


def of_finite_and_huge_weights(at, times=1):
    """The update of that step leaves a trained weight of 1e38: finite, and nothing is that comes of it."""

    def harm(loop):
        update, left = loop._update, [times]

        def updated():
            update()
            if loop._at == at and left[0]:
                left[0] -= 1
                for weight in loop._trained:
                    weight.data.fill_(1e38)

        loop._update = updated

    return harm


RUINED = {**SETTINGS, "on_nonfinite": ROLLBACK, "save_strategy": "steps", "save_total_limit": 1}


@pytest.mark.parametrize(("saved", "back"), [(1, [4, 3]), (2, [4, 2]), (3, [3]), (4, [4, 0])])
def test_a_checkpoint_that_gives_nothing_finite_is_left_for_one_that_did(train, examples, plant, saved, back, tmp_path):
    plant(of_finite_and_huge_weights(at=4))
    events, folder = train(examples, **RUINED, save_steps=saved)
    assert [event.step for event in only(events, RolledBack)] == back
    assert [event.skipped for event in only(events, RolledBack)] == [5, 6][: len(back)]
    set_aside = [path.name for path in (folder / "checkpoints/quarantine").glob("*")]
    assert set_aside == ([name_of(4)] if len(back) > 1 else [])
    assert all(math.isfinite(loss) for loss in losses(events).values()) and max(losses(events)) == 8
    left_out = {event.skipped for event in only(events, RolledBack)}
    assert saved != 1 or not left_out & {event.step for event in only(events, CheckpointSaved)}


def test_the_newest_checkpoint_that_a_finite_step_came_from_outlives_the_limit(train, examples, plant):
    there = []

    def look(event):
        if isinstance(event, CheckpointSaved):
            there.append([int(one[-8:]) for one in sorted(path.name for path in Path(event.path).parent.iterdir())])

    train(examples, listener=look, **RUINED | {"max_steps": 4}, save_steps=1)
    assert there == [[0], [0, 1], [1, 2], [2, 3], [3, 4]]


@pytest.mark.parametrize("cut", [3, *(pytest.param(cut, marks=pytest.mark.slow) for cut in (4, 5, 6))])
def test_a_run_that_is_killed_around_a_ruined_checkpoint_ends_as_one_that_never_was(train, examples, plant, cut):
    """Ruined by the learning rate, so that what is resumed is ruined anew."""

    def harm(loop):
        update = loop._update

        def updated():
            update()
            if loop._at == 4 and loop.numbers.setbacks.learning_rate_scale > 0.1:
                for weight in loop._trained:
                    weight.data.fill_(1e38)

        loop._update = updated

    plant(harm)
    whole, folder = train(examples, name="whole", **RUINED, save_steps=1)
    assert len(only(whole, RolledBack)) == 2
    seen = []

    def kill(event):
        seen.append(event)
        if len(steps_of(seen)) == cut:
            raise PowerCut

    with pytest.raises(PowerCut):
        train(examples, name="cut", listener=kill, **RUINED, save_steps=1)
    checkpoints = folder.parent / "cut/checkpoints"
    newest = checkpoints / name_of(max(checkpoints_in(checkpoints)))
    after, resumed = train(examples, name="cut", resume=newest, **RUINED, save_steps=1)
    assert final(resumed) == final(folder) and losses([*seen, *after]) == losses(whole)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({}, "set max_grad_norm (0.3), look at those rows; or let the run do without such a batch"),
        ({"max_grad_norm": 0.1}, "learning_rate, look at those rows; or let the run do without"),
        ({"max_grad_norm": 0.1, "on_nonfinite": {"action": "skip", "limit": 1}}, "rows; or let it go back to weights"),
        (
            {"max_grad_norm": 0.1, "on_nonfinite": {"action": "rollback", "limit": 1}},
            "learning_rate, look at those rows",
        ),
    ],
)
def test_the_remedy_is_none_of_what_is_set_already(train, examples, plant, given, advice):
    rows = examples
    for number in range(len(rows)):
        rows = with_bad_row(rows, number)
    plant(in_the_loss())
    with pytest.raises(FurrowError) as ended:
        train(rows, **SETTINGS, **given)
    assert advice in ended.value.remedy and "fp16" not in ended.value.remedy
    assert advice.endswith("batch") or "on_nonfinite" not in given or "do without" not in ended.value.remedy
