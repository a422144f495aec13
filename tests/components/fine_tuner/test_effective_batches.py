"""The optimiser sees effective batches: no cut, no shortage of memory and no packing changes what is learned."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Evaluated, MicroBatchShrunk, Noted, TrainingEnded, TrainingStarted
from furrow.components.fine_tuner import SamplePrompt
from furrow.components.fine_tuner.pytorch import fine_tuner
from furrow.components.fine_tuner.pytorch.engine import dropout, memory
from furrow.components.fine_tuner.pytorch.engine.cut import cut
from furrow.components.fine_tuner.pytorch.engine.dropout import RowDropout, RowSeeds, by_rows
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.layout import flat, padded
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


@pytest.mark.parametrize("tokens", [16, *(pytest.param(tokens, marks=pytest.mark.slow) for tokens in (40, 100))])
def test_any_cut_gives_the_same_weights_after_20_steps_even_with_dropout(train, examples, tokens):
    settings = {"max_steps": 20, "per_device_train_batch_size": 8, "method": METHOD, "learning_rate": 1e-3}
    settings["adam_epsilon"] = 1e-3  # else AdamW turns rounding of gradients near zero into steps of full length
    _, whole = train(examples, name="whole", micro_batch_tokens=4096, **settings)
    _, pieces = train(examples, name="cut", micro_batch_tokens=tokens, **settings)
    assert furthest(weights(whole), weights(pieces)) < 1e-6


@pytest.fixture(params=["a generator for each row", "all rows at once"])
def drawn(request, monkeypatch):
    """The two ways in which masks are drawn: on a CPU, and elsewhere."""
    monkeypatch.setattr(dropout, "_few_launches", lambda device: request.param == "all rows at once")


def test_dropout_drawn_for_all_rows_at_once_knows_no_cut_either(train, examples, monkeypatch):
    monkeypatch.setattr(dropout, "_few_launches", lambda device: True)
    settings = {"max_steps": 6, "per_device_train_batch_size": 8, "method": METHOD, "adam_epsilon": 1e-3}
    _, whole = train(examples, name="whole", micro_batch_tokens=4096, **settings)
    _, pieces = train(examples, name="cut", micro_batch_tokens=40, **settings)
    assert furthest(weights(whole), weights(pieces)) < 1e-6


def test_a_row_has_the_same_zeros_alone_beside_others_padded_and_behind_a_shared_beginning(drawn):
    pair = [Example([1, 2, 3, *answer], [True] * (3 + len(answer)), "pair") for answer in ([4, 5], [6, 7, 8, 9])]
    other = Example([5] * 11, [True] * 11, "other")
    seeds = RowSeeds()
    seeds.begin(7, {id(row): place for place, row in enumerate([*pair, other])})
    module, cpu = RowDropout(0.5, seeds, 3).train(), torch.device("cpu")

    def zeros(layout):
        seeds.lay(layout)
        return module(torch.ones(*layout.input_ids.shape, 30))

    alone = zeros(flat([(pair[1],)], cpu))[0]
    assert torch.equal(zeros(flat([(other,), (pair[1],)], cpu))[0, 11:], alone)
    assert torch.equal(zeros(padded([(other,), (pair[1],)], 0, cpu))[1, :7], alone)
    shared = zeros(flat([pair], cpu))[0]  # the beginning, two tokens of the first, four of the second
    assert torch.equal(shared[:3], zeros(flat([(pair[0],)], cpu))[0, :3]) and torch.equal(shared[5:], alone[3:])
    behind = RowDropout(0.5, seeds, 4).train()
    seeds.lay(padded([(other,), (pair[1],)], 0, cpu))
    virtual = behind(torch.ones(2, 11 + 2, 30))  # two virtual tokens before each row
    seeds.lay(padded([(pair[1],)], 0, cpu))
    assert torch.equal(behind(torch.ones(1, 7 + 2, 30))[0], virtual[1, :9])


def test_rows_whose_padding_is_left_out_keep_their_place():
    rows = [Example([1, 2, 3], [True] * 3, str(number)) for number in range(2)]
    seeds = RowSeeds()
    seeds.begin(7, {id(row): place for place, row in enumerate(rows)})
    shorter = [row._replace(input_ids=row.input_ids[:2]) for row in rows]
    for copy, row in zip(shorter, rows, strict=True):
        seeds.stands_for(copy, row)
    module = RowDropout(0.5, seeds, 0).train()
    seeds.lay(flat([(row,) for row in rows], torch.device("cpu")))
    whole = module(torch.ones(1, 6, 50))[0]
    seeds.lay(flat([(row,) for row in shorter], torch.device("cpu")))
    cut = module(torch.ones(1, 4, 50))[0]
    assert torch.equal(cut, whole[[0, 1, 3, 4]]) and not torch.equal(cut[:2], cut[2:])


SMALL = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32, "vocab_size": 40}


def test_the_base_drops_out_by_rows_too_and_what_cannot_belong_to_rows_is_off():
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(**SMALL, resid_pdrop=0.3, attn_pdrop=0.1, embd_pdrop=0.2))
    seeds = RowSeeds()
    assert by_rows(model, seeds) == ["attn_dropout 0.1"] and by_rows(model, seeds) == []
    sizes = {"vocab_size": 40, "hidden_size": 16, "ffn_dim": 8, "num_attention_heads": 2, "word_embed_proj_dim": 16}
    opt = OPTForCausalLM(OPTConfig(**sizes, num_hidden_layers=1, dropout=0.1, attention_dropout=0.0))
    assert by_rows(opt, seeds) == ["dropout 0.1"]
    rows = [Example([1 + n, *range(2, 6 + n)], [True] * (5 + n), str(n)) for n in range(3)]
    forward = Forward(model, pad_id=0, longest=8, seeds=seeds)
    seeds.begin(7, {id(row): place for place, row in enumerate(rows)})
    model.train()
    together = forward([(row,) for row in rows]).last_hidden()
    apart = torch.cat([forward([(row,)]).last_hidden() for row in rows])
    torch.testing.assert_close(together, apart)
    seeds.begin(8, {id(row): place for place, row in enumerate(rows)})
    assert not torch.allclose(forward([(row,) for row in rows]).last_hidden(), apart)


def test_dropout_of_an_adapter_on_the_head_is_refused(train, examples):
    method = {"type": "lora", "r": 2, "dropout": 0.1, "target_modules": ["q_proj", "lm_head"]}
    with pytest.raises(RequestError, match="lm_head cannot have dropout") as caught:
        train(examples, max_steps=1, method=method)
    assert caught.value.where == "method.dropout" and "leave lm_head out" in caught.value.remedy
    train(examples, max_steps=1, method={**method, "dropout": 0.0})


def test_dropout_of_an_adapter_that_is_not_given_all_tokens_is_refused():
    row, seeds = Example([1] * 5, [True] * 5, "row"), RowSeeds()
    seeds.lay(flat([(row,)], torch.device("cpu")))
    with pytest.raises(RequestError, match="down_proj cannot have dropout"):
        RowDropout(0.1, seeds, 0, "experts.3.down_proj").train()(torch.ones(4, 8))


def test_dropout_zeroes_its_share_everywhere_and_keeps_the_mean(drawn):
    rows = [Example([1] * length, [True] * length, str(length)) for length in (401, 300, 1)]
    seeds = RowSeeds()
    seeds.begin(7, {id(row): place for place, row in enumerate(rows)})
    seeds.lay(flat([(row,) for row in rows], torch.device("cpu")))
    dropped = RowDropout(0.1, seeds, 3).train()(torch.ones(1, 702, 257))[0]
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.9], abs=1e-4)
    assert dropped.mean().item() == pytest.approx(1.0, abs=5e-3)
    for part in (dropped[:401], dropped[401:701], dropped[:, :128], dropped[::2], dropped[:, ::4], dropped[:, 1::4]):
        assert (part == 0).float().mean().item() == pytest.approx(0.1, abs=5e-3)
    assert not torch.equal(dropped[0], dropped[1]) and not torch.equal(dropped[0], dropped[401])


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


def remember(tokens, device):
    budget = memory.token_budget(None, device, "x")
    budget.halve(2 * tokens, "full")
    assert memory.token_budget(None, device, "x").tokens == memory.CPU_TOKENS  # nothing has gone through yet
    budget.fits()
    assert memory.token_budget(None, device, "x").tokens == tokens


def test_a_day_later_the_memory_may_be_free_again(monkeypatch):
    device = torch.device("cpu")
    remember(32, device)
    now = memory.time.time()
    monkeypatch.setattr(memory.time, "time", lambda: now + 24 * 60 * 60 + 1)
    assert memory.token_budget(None, device, "x").tokens == memory.CPU_TOKENS


def test_what_a_run_asks_for_by_number_is_not_overruled_by_memory_of_others(train, examples, monkeypatch):
    allocator = Allocator(monkeypatch, 4096, SHORTAGES[0])
    device = torch.device("cpu")
    remember(32, device)
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


def test_one_row_that_never_fits_ends_the_run_at_once_and_later_runs_are_none_the_smaller(train, examples, monkeypatch):
    long = Example([7] * 100, [True] * 100, "rows.jsonl:99")
    Allocator(monkeypatch, 99, SHORTAGES[0])
    seen = []
    with pytest.raises(FurrowError, match="one row alone") as caught:
        train([*examples, long], max_steps=1, per_device_train_batch_size=41, listener=seen.append)
    assert caught.value.where == "rows.jsonl:99"
    shrunk = [event for event in seen if isinstance(event, MicroBatchShrunk)]
    after, _ = train(examples[:4], name="after", max_steps=1)
    assert len(shrunk) <= 3 and not memory._memory().exists()
    assert next(event for event in after if isinstance(event, TrainingStarted)).micro_batch_tokens == memory.CPU_TOKENS


def test_a_sample_for_which_there_is_no_memory_is_left_out_and_the_training_goes_on(train, examples, monkeypatch):
    def fails(*_):
        raise SHORTAGES[0]

    monkeypatch.setattr(fine_tuner, "sample", fails)
    events, folder = train(examples, max_steps=1, samples=(SamplePrompt(prompt="a"),))
    assert "left out at step 1" in [event.message for event in events if isinstance(event, Noted)][-1]
    assert (folder / "final_model").is_dir()


def test_what_onednn_cannot_compute_at_all_is_no_lack_of_memory():
    assert memory.is_out_of_memory(RuntimeError("could not create a primitive"))
    assert not memory.is_out_of_memory(RuntimeError("could not create a primitive descriptor for a matmul primitive"))


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


@pytest.mark.slow
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


def test_packs_are_cut_apart_and_padded_no_further_than_their_rows():
    rows = [Example([1] * length, [True] * length, str(n)) for n, length in enumerate([1000] + 52 * [20])]
    packs = pack(rows, 2048)
    assert len(packs) == 1

    def padded(lengths):
        return len(lengths) * max(lengths)

    for tokens_of in (sum, padded):
        pieces = cut(packs, 1024, tokens_of)
        sizes = [tokens_of([len(row.input_ids) for row in piece]) for piece in pieces]
        assert sorted(int(row.where) for piece in pieces for row in piece) == list(range(53))
        assert max(sizes) <= 1024 and sum(sizes) == 2040


@pytest.mark.parametrize("method", [METHOD, {"type": "prompt", "num_virtual_tokens": 4}], ids=["flat", "padded"])
def test_any_cut_of_packs_gives_the_same_weights(train, examples, method):
    settings = {"max_steps": 4, "per_device_train_batch_size": 2, "method": method, "packing": True}
    settings["adam_epsilon"] = 1e-3
    _, whole = train(examples, name="whole", micro_batch_tokens=4096, **settings)
    _, pieces = train(examples, name="cut", micro_batch_tokens=16, **settings)
    assert furthest(weights(whole), weights(pieces)) < 1e-6


def test_pretrain_packs_by_itself_and_sft_does_not(train, examples):
    def steps_of(objective):
        events, _ = train(examples, name=objective, objective=objective, num_train_epochs=1)
        return next(event.step for event in events if isinstance(event, TrainingEnded))

    assert steps_of("pretrain") < steps_of("sft") == 5
