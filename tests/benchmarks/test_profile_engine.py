"""The profile of a step: operators fall into groups, and a toy run is told in full."""

from __future__ import annotations

import pytest

from benchmarks.profile_engine import grouped, report, run
from benchmarks.shape import SHAPES
from benchmarks.workload import make_rows, write


def test_operators_fall_into_groups_and_none_is_lost():
    times = {"aten::mm": 1.0, "mkldnn::_linear_pointwise": 2.0, "aten::silu": 0.5, "_RowsBackward": 0.25}
    assert grouped(times) == {"matrix products": 3.0, "element by element": 0.5, "the rest": 0.25}


def test_a_toy_run_is_profiled_without_its_first_step(tmp_path):
    workload = write(tmp_path, SHAPES["toy"])
    rows = make_rows(24, workload.shape.vocabulary, 64)
    watch = run(workload.model, rows, 3, {"micro_batch_tokens": 256})
    said = []
    report(watch, "toy", said.append)
    tokens = sum(row.tokens for row in rows[8:])
    assert said[0].startswith(f"2 steps, {tokens} tokens")
    assert float(said[1].split()[0]) == pytest.approx(0, abs=1000)
    assert any("matrix products" in line for line in said)
