"""What each system's own output says, by lines that they wrote."""

import json

import pytest

from benchmarks.cases import CASES
from benchmarks.shape import SMOLLM2_135M
from benchmarks.systems import Mark
from benchmarks.systems.table import SYSTEMS

LITGPT = """\
Epoch 1 | iter 1 step 0 | loss train: 10.974, val: n/a | iter time: 2500.00 ms
Epoch 1 | iter 2 step 1 | loss train: 10.951, val: n/a | iter time: 1500.00 ms (step)
Epoch 1 | iter 3 step 1 | loss train: 10.951, val: n/a | iter time: 1500.00 ms"""


def test_every_case_names_systems_that_there_are():
    for case in CASES.values():
        assert set(case.systems) <= set(SYSTEMS)
        assert case.systems[0] == "furrow"


def test_litgpt_began_when_its_first_micro_batch_did_and_ends_a_step_where_it_says_so():
    read = SYSTEMS["litgpt"].marks()
    assert [read(line) for line in LITGPT.splitlines()] == [Mark("begun", seconds=2.5), Mark("step", 10.951), None]


def test_trainer_s_log_of_a_step_is_read_and_its_summary_tells_when_it_began():
    read = SYSTEMS["llamafactory"].marks()
    step = "{'loss': '10.98', 'grad_norm': '0.3', 'learning_rate': '0.0002', 'epoch': '0.5'}"
    assert read("[INFO|trainer.py:1] ***** Running training *****") == Mark("begun")
    assert read(step) == Mark("step", 10.98)
    assert read("{'train_runtime': '11.1', 'train_loss': '10.9', 'epoch': '1'}") == Mark("begun", seconds=11.1)


def test_furrow_tells_by_its_events():
    read = SYSTEMS["furrow"].marks()
    assert read(json.dumps({"event": "training_started", "total_steps": 12})) == Mark("begun")
    assert read(json.dumps({"event": "step_ended", "loss": 1.5})) == Mark("step", 1.5)
    assert read(json.dumps({"event": "evaluated", "eval_loss": 1.5})) is None
    assert read("a line of some library") is None


def test_the_last_quarter_of_thirty_layers_is_the_last_eight():
    assert CASES["layers"].adapted(SMOLLM2_135M) == list(range(22, 30))
    assert CASES["lora"].adapted(SMOLLM2_135M) is None


@pytest.mark.parametrize("name", CASES)
def test_the_strategy_that_furrow_gets_is_one_that_it_takes(name, tmp_path):
    import yaml

    from benchmarks.shape import TOY
    from benchmarks.systems import Job
    from benchmarks.systems.furrow import strategy
    from benchmarks.workload import Workload
    from furrow.strategies.files import load

    job = Job(CASES[name], Workload(tmp_path, TOY, 1, 1, 1), tmp_path)
    file = tmp_path / "strategy.yaml"
    for optimization in ({}, {"activation_cache_gb": 0}):
        file.write_text(yaml.safe_dump(strategy(job, optimization)))
        assert load("benchmark", file, []).strategy.fine_tuner.config.method.type == CASES[name].method
