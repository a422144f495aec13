"""What is said where one row alone finds no memory: how much it needs, and what lowers that, for this strategy."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch import fine_tuner
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.shortage import Held, Shortage, free_bytes, in_words
from furrow.components.records import Example

GIB, MIB = 1 << 30, 1 << 20
CHECKPOINTING, LENGTH, QLORA = "gradient_checkpointing", "max_length", "qlora"


def config(**given):
    return PyTorchConfig.model_validate_json(json.dumps({"base_model": {"builtin": "seedling"}, **given}))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=50, hidden_size=64, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4
    )
    return LlamaForCausalLM(shape)


@pytest.fixture
def shortage(model):
    def of(**given):
        return Shortage(config(**given), Forward(model, pad_id=0, longest=2000), torch.float32)

    return of


def row(tokens):
    return Example([1 + n % 40 for n in range(tokens)], [True] * tokens, "rows.jsonl:7")


def named(shortage, held, activations):
    known = ("max_length", "gradient_checkpointing", "lora", "qlora", "adafactor")
    texts = [saving.text for saving in shortage.savings(held, activations)]
    return [next(name for name in reversed(known) if name in text) for text in texts]


LORA_ON_8B = Held(frozen=16 * GIB, trained=GIB // 8, gradients=GIB // 8, state=GIB // 4)
ALL_OF_8B = Held(frozen=0, trained=32 * GIB, gradients=32 * GIB, state=64 * GIB)
LORA = {"type": "lora"}


@pytest.fixture
def adapted(model, shortage):
    """The same in 16 bits, with an adapter."""

    def of(**given):
        found = shortage(**given)
        base = LlamaForCausalLM(model.config).to(torch.bfloat16)
        found.forward = Forward(get_peft_model(base, LoraConfig(r=2)), pad_id=0, longest=2000)
        return found

    return of


def test_the_most_effective_setting_comes_first(shortage, adapted):
    assert named(adapted(method=LORA), LORA_ON_8B, 4 * GIB) == [QLORA, CHECKPOINTING, LENGTH]
    assert named(adapted(method=LORA), LORA_ON_8B, 40 * GIB) == [CHECKPOINTING, LENGTH, QLORA]
    assert named(shortage(method={"type": "full"}), ALL_OF_8B, 10 * GIB)[:2] == ["lora", "adafactor"]


def test_what_the_strategy_has_already_is_not_named(shortage, adapted):
    checkpointing = {"optimization": {"gradient_checkpointing": True}}
    assert named(adapted(method=LORA, hardware=checkpointing), LORA_ON_8B, 40 * GIB) == [LENGTH, QLORA]
    assert named(adapted(method={"type": "qlora"}), LORA_ON_8B, 40 * GIB) == [CHECKPOINTING, LENGTH]
    without = shortage(method={"type": "full"}, training_args={"optim": "adafactor"})
    assert "adafactor" not in named(without, ALL_OF_8B._replace(state=0), 10 * GIB)


def test_what_the_strategy_may_not_have_is_not_named(shortage, adapted):
    assert CHECKPOINTING not in named(adapted(method={"type": "prefix"}), LORA_ON_8B, 40 * GIB)
    assert QLORA not in named(adapted(method={"type": "ia3"}), LORA_ON_8B, 4 * GIB)


def test_what_saves_next_to_nothing_is_not_named(shortage):
    assert named(shortage(method={"type": "full"}), ALL_OF_8B, GIB) == ["lora", "adafactor"]


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_what_a_row_needs_is_measured_on_its_beginning(model, shortage, implementation):
    found = shortage(method={"type": "full"})
    if implementation == "eager":  # attention weights of every pair of tokens are kept
        base = LlamaForCausalLM(model.config)
        base.set_attn_implementation("eager")
        found.forward = Forward(base, pad_id=0, longest=2000)
        found.forward.why_padded = "as a model that cannot have its rows one after the other"
    long = row(640)
    estimated, kept = found.activations(long, 640), found._kept(long, 640)
    assert estimated == pytest.approx(kept, rel=0.1)
    assert kept > 640 * 64 * 4 * 4 * 10  # more than ten numbers a hidden unit and layer


def test_the_error_names_row_need_what_is_free_and_the_remedies(train, examples, monkeypatch):
    forward = Forward.__call__

    def limited(self, groups):
        if sum(len(one.input_ids) for group in groups for one in group) > 40:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.00 GiB free")
        return forward(self, groups)

    long = Example([7] * 100, [True] * 100, "rows.jsonl:99")
    with monkeypatch.context() as allocator, pytest.raises(FurrowError, match="one row alone") as caught:
        allocator.setattr(Forward, "__call__", limited)
        train([*examples, long], max_steps=1, per_device_train_batch_size=41, micro_batch_tokens=60, method=LORA)
    said = str(caught.value)
    assert said.startswith(
        "rows.jsonl:99: memory ran out with one row alone (100 tokens) at step 1: CUDA out of memory."
    )
    assert "its activations need about" in said and "weights, gradients and the optimiser take" in said
    assert said.splitlines()[0].endswith("are free")
    first, second, *_ = caught.value.remedy.split("; ")
    assert first.startswith("halve data_preprocessing.max_length (about ")  # of two layers, one is always computed
    assert second.startswith("set hardware.optimization.gradient_checkpointing to true (about ")
    assert caught.value.remedy.endswith("or take a smaller base_model")


def test_where_not_even_a_beginning_fits_the_need_is_told_by_rule_of_thumb(shortage, monkeypatch):
    def fails(*_):
        raise MemoryError

    found = shortage(method={"type": "full"})
    kept = found.activations(row(640), 640)
    monkeypatch.setattr(Forward, "__call__", fails)
    assert found.activations(row(640), 640) is None
    assert 0.5 < found.usual_activations(640) / kept < 2
    error = found.error(row(640), 640, "at step 1", "full")
    assert "need about" in str(error) and "max_length" in error.remedy


def test_an_update_that_finds_no_memory_is_told_as_one(train, examples, monkeypatch, tmp_path):
    def fails(*_, **__):
        raise MemoryError("no room for moments")

    monkeypatch.setattr(torch.optim.AdamW, "step", fails)
    with pytest.raises(FurrowError, match="for the update of the weights at step 1: no room for moments") as caught:
        train(examples, max_steps=2, method={"type": "full"}, save_strategy="steps", save_steps=1)
    assert "method.type lora" in caught.value.remedy and "max_length" not in caught.value.remedy
    assert not (tmp_path / "run/checkpoints").exists() and not (tmp_path / "run/final_model").exists()


LIMITED = """
import json, resource, sys
from pathlib import Path
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.records import Example
model, out = sys.argv[1], Path(sys.argv[2])
settings = {"base_model": {"path": model}, "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
            "method": {"type": "lora"}, "training_args": {"max_steps": 1, "save_strategy": "no"}}
rows = [Example([5] * 20000, [True] * 20000, "rows.jsonl:1")]
def listen(event):
    if type(event).__name__ == "TrainingStarted":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), used + (16 << 20)))
request = TrainingRequest(train=rows, order_seed=1, checkpoints=out / "c", final_model=out / "m", beside={})
try:
    PyTorchFineTuner(PyTorchConfig.model_validate_json(json.dumps(settings))).train(request, listen)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS is enforced on Linux")
def test_a_process_that_may_not_have_enough_says_how_much_that_is(tiny_model, tmp_path):
    command = [sys.executable, "-c", LIMITED, str(tiny_model), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    said = done.stdout
    assert said.startswith("FurrowError rows.jsonl:1: memory ran out with one row alone (20,000 tokens) at step 1"), (
        done
    )
    assert "MiB are free" in said and "gradient_checkpointing" in said
    needed = float(said.split("its activations need about ")[1].split(" MiB")[0].replace(",", ""))
    assert 50 < needed < 500  # 20,000 tokens, 2 layers of 32: about 30 numbers of 4 bytes each make 146 MiB


def test_what_is_free_is_no_more_than_the_process_may_have(monkeypatch):
    free = free_bytes(torch.device("cpu"))
    if free is None:
        pytest.skip("this system does not tell")
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1, 1))
    assert free > 0 and free_bytes(torch.device("cpu")) == 0


@pytest.mark.parametrize(
    ("count", "said"),
    [(10, "1 kiB"), (120 * MIB, "120 MiB"), (5 * GIB + GIB // 4, "5.2 GiB"), (4000 * GIB, "4,000 GiB")],
)
def test_sizes_are_said_in_the_unit_that_fits(count, said):
    assert in_words(count) == said


def test_the_fine_tuner_asks_it(train, examples, monkeypatch):
    """That `assemble` puts it there: the loop's budget has this model's advice."""
    seen = []
    assemble = fine_tuner.assemble
    monkeypatch.setattr(fine_tuner, "assemble", lambda *given: seen.append(assemble(*given)) or seen[0])
    train(examples[:4], max_steps=1)
    assert seen[0].budget is seen[0].forward.budget
    assert seen[0].budget.too_much.__self__.forward is seen[0].forward
