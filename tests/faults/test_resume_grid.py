"""The resume grid: a sample of its cells in `make test`, all of them with the slow tests and in `make faults`."""

from __future__ import annotations

import importlib.util

import pytest

from tests.faults import resume_grid


@pytest.mark.parametrize("cell", resume_grid.sample(), ids=str)
def test_an_interrupted_run_ends_as_one_that_never_was(cell, tmp_path):
    _needs(cell)
    assert resume_grid.run_cell(cell, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*resume_grid.cells(), *resume_grid.others()], ids=str)
def test_so_it_is_in_every_cell(cell, tmp_path):
    _needs(cell)
    assert resume_grid.run_cell(cell, tmp_path) == []


def test_the_sample_has_every_value_of_every_axis():
    chosen, whole = resume_grid.sample(), resume_grid.cells()
    assert len(whole) == 352 and set(chosen) <= set(whole)
    for axis in ("method", "optim", "accumulation", "dropout", "place", "workers", "end"):
        assert {getattr(cell, axis) for cell in chosen} == {getattr(cell, axis) for cell in whole}


def _needs(cell):
    if (cell.optim == "adamw_8bit" or cell.name == "qlora") and importlib.util.find_spec("bitsandbytes") is None:
        pytest.skip("bitsandbytes is not installed")
