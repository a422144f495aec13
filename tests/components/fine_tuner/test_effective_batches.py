"""The optimiser sees effective batches: no cut, no shortage of memory and no packing changes what is learned."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from furrow.components.errors import FurrowError
from furrow.components.events import Evaluated, MicroBatchShrunk, TrainingEnded
from furrow.components.fine_tuner.pytorch.engine import memory
from furrow.components.fine_tuner.pytorch.engine.cut import cut
from furrow.components.fine_tuner.pytorch.engine.packing import pack
from furrow.components.records import Example


@pytest.fixture(autouse=True)
def no_memory_of_other_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def weights(folder):
    return load_file(folder / "final_model" / "adapter_model.safetensors")


def furthest(one, other):
    return max((one[name] - other[name]).abs().max().item() for name in one)


METHOD = {"type": "lora", "r": 4, "dropout": 0.2}


@pytest.mark.parametrize("tokens", [16, 40, 100])
def test_any_cut_gives_the_same_weights_after_20_steps_even_with_dropout(train, examples, tokens):
    settings = {"max_steps": 20, "per_device_train_batch_size": 8, "method": METHOD, "learning_rate": 1e-3}
    settings["adam_epsilon"] = 1e-3  # else AdamW turns rounding of gradients near zero into steps of full length
    _, whole = train(examples, name="whole", micro_batch_tokens=4096, **settings)
    _, pieces = train(examples, name="cut", micro_batch_tokens=tokens, **settings)
    assert furthest(weights(whole), weights(pieces)) < 1e-6


def test_dropout_is_there(train, examples, steps):
    with_it, _ = train(examples, name="with", max_steps=2, method=METHOD)
    without, _ = train(examples, name="without", max_steps=2, method={**METHOD, "dropout": 0.0})
    assert steps(with_it)[1].loss != steps(without)[1].loss


def test_a_cut_loses_no_row_keeps_to_its_budget_and_has_pieces_of_about_one_size(examples):
    pieces = cut(examples, 64, sum)
    sizes = [sum(len(row.input_ids) for row in piece) for piece in pieces]
    assert sorted(row.where for piece in pieces for row in piece) == sorted(row.where for row in examples)
    assert max(sizes) <= 64 and sorted(sizes)[1] >= 32
    longest = [max(len(row.input_ids) for row in piece) for piece in pieces]
    assert longest == sorted(longest)


def test_a_row_beyond_the_budget_goes_alone():
    rows = [Example([1] * length, [True] * length, str(length)) for length in (3, 50, 4)]
    assert [[row.where for row in piece] for piece in cut(rows, 16, sum)] == [["3", "4"], ["50"]]


class Allocator:
    """Stands in for a device with room for so many tokens."""

    def __init__(self, monkeypatch, room, error):
        from furrow.components.fine_tuner.pytorch.engine.forward import Forward

        forward, self.calls = Forward.__call__, []

        def limited(model, groups):
            tokens = sum(len(one.input_ids) for group in groups for one in group)
            self.calls.append(tokens)
            if tokens > room:
                raise error
            return forward(model, groups)

        monkeypatch.setattr(Forward, "__call__", limited)


SHORTAGES = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to ..."),
]


@pytest.mark.parametrize("error", SHORTAGES, ids=["device", "host", "torch's host allocator"])
def test_out_of_memory_shrinks_the_cut_and_repeats_the_same_batch(train, examples, steps, monkeypatch, error):
    settings = {"max_steps": 6, "per_device_train_batch_size": 8, "method": METHOD, "learning_rate": 1e-3}
    large, _ = train(examples, name="large", **settings)
    Allocator(monkeypatch, 40, error)
    small, folder = train(examples, name="small", **settings)
    assert [step.loss for step in steps(small)] == pytest.approx([step.loss for step in steps(large)], abs=1e-6)
    shrunk = [event for event in small if isinstance(event, MicroBatchShrunk)]
    assert [event.step for event in shrunk] == [1] * len(shrunk) and shrunk[-1].tokens <= 40 < shrunk[0].was
    assert (folder / "final_model").is_dir()


def test_the_next_run_on_this_device_begins_with_what_the_last_one_found(train, examples, monkeypatch):
    Allocator(monkeypatch, 40, SHORTAGES[0])
    first, _ = train(examples, name="first", max_steps=2)
    second, _ = train(examples, name="second", max_steps=2)
    assert any(isinstance(event, MicroBatchShrunk) for event in first)
    assert not any(isinstance(event, MicroBatchShrunk) for event in second)


def test_what_a_run_asks_for_by_number_is_not_overruled_by_memory_of_others(train, examples, monkeypatch):
    allocator = Allocator(monkeypatch, 4096, SHORTAGES[0])
    device = torch.device("cpu")
    memory.token_budget(None, device, "x").halve(64)
    assert memory.token_budget(None, device, "x").tokens == 32
    train(examples, max_steps=1, per_device_train_batch_size=40, micro_batch_tokens=300)
    assert 150 < max(allocator.calls) <= 300


def test_running_out_in_evaluation_shrinks_the_cut_too(train, examples, monkeypatch):
    settings = {"max_steps": 1, "per_device_train_batch_size": 1, "eval_strategy": "steps", "eval_steps": 1}
    large, _ = train(examples, examples, name="large", **settings)
    Allocator(monkeypatch, 60, SHORTAGES[1])
    small, _ = train(examples, examples, name="small", **settings)
    losses = [next(event.eval_loss for event in run if isinstance(event, Evaluated)) for run in (large, small)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_a_row_that_does_not_fit_alone_ends_the_run_with_its_place_and_what_helps(train, examples, monkeypatch):
    Allocator(monkeypatch, 4, SHORTAGES[1])
    with pytest.raises(FurrowError, match="one row alone") as caught:
        train(examples, max_steps=1)
    assert caught.value.where.startswith("rows.jsonl:") and "max_length" in caught.value.remedy


LIMITED = """
import json, resource, sys
from pathlib import Path
import torch
from furrow.components.events import MicroBatchShrunk, StepEnded
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.records import Example

model, out, room = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
rows = [Example([1 + (n * 7 + i) % 300 for i in range(1500)], [True] * 1500, str(n)) for n in range(40)]
settings = {"base_model": {"path": model}, "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
            "method": {"type": "lora", "r": 4, "dropout": 0.0},
            "training_args": {"save_strategy": "no", "max_steps": 1, "per_device_train_batch_size": 40,
                              "micro_batch_tokens": 60000}}
tuner = PyTorchFineTuner(PyTorchConfig.model_validate_json(json.dumps(settings)))
seen = []
def listen(event):
    if type(event).__name__ == "TrainingStarted" and room:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
    if isinstance(event, StepEnded): seen.append(event.loss)
    if isinstance(event, MicroBatchShrunk): seen.append("shrunk")
tuner.train(TrainingRequest(train=rows, order_seed=1, checkpoints=out / "c", final_model=out / "m", beside={}), listen)
print(json.dumps(seen))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux")
def test_a_process_that_may_not_have_more_memory_trains_on_in_smaller_pieces(tiny_model, tmp_path):
    def run(room):
        command = [sys.executable, "-c", LIMITED, str(tiny_model), str(tmp_path / str(room)), str(room)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    [loss], limited = run(0), run(24 << 20)
    assert limited[0] == "shrunk" and limited[-1] == pytest.approx(loss, abs=1e-6)


def test_packing_keeps_every_row_whole_and_fills_well():
    chance = random.Random(1)
    lengths = [chance.randint(1, 100) for _ in range(300)]
    packs = pack([Example([1] * length, [True] * length, str(n)) for n, length in enumerate(lengths)], 100)
    sizes = [sum(len(one.input_ids) for one in packed.sequences) for packed in packs]
    assert sorted(one.where for packed in packs for one in packed.sequences) == sorted(map(str, range(300)))
    assert max(sizes) <= 100 and len(packs) <= 1.06 * sum(lengths) / 100


@pytest.mark.parametrize("objective", ["sft", "pretrain"])
def test_a_packed_epoch_has_the_loss_of_its_rows_unpacked(train, examples, steps, objective):
    """One step that sees every row, packed and not: the same loss, and the same weights after it."""
    settings = {"max_steps": 1, "per_device_train_batch_size": 40, "objective": objective, "adam_epsilon": 1e-3}
    packed, one = train(examples, name="packed", packing=True, **settings)
    unpacked, other = train(examples, name="unpacked", packing=False, **settings)
    assert steps(packed)[0].loss == pytest.approx(steps(unpacked)[0].loss, abs=1e-6)
    assert furthest(weights(one), weights(other)) < 1e-6


def test_pretrain_packs_by_itself_and_sft_does_not(train, examples):
    def steps_of(objective):
        events, _ = train(examples, name=objective, objective=objective, num_train_epochs=1)
        return next(event.step for event in events if isinstance(event, TrainingEnded))

    assert steps_of("pretrain") < steps_of("sft") == 5
