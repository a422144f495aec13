"""A trial of the whole with the toy model: Furrow alone, as a fresh process, and the page of it."""

from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.records import Records
from benchmarks.run import main

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_trial_measures_furrow_and_writes_a_page_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    published = ROOT / "docs/benchmarks.md"
    before = published.read_bytes() if published.is_file() else None
    main(
        ["--shape", "toy", "--rows", "16", "--only", "lora", "--peers", "", "--rounds", "1", "--folder", str(tmp_path)]
    )
    (measured,) = Records(tmp_path / "trial/results.jsonl").runs("lora")
    assert measured.failed is None
    assert len(measured.losses) == 2
    assert measured.train_seconds < measured.first_step_seconds + measured.train_seconds < measured.seconds * 2
    assert measured.gflops > 0
    assert "Furrow" in (tmp_path / "trial/benchmarks.md").read_text()
    assert (published.read_bytes() if published.is_file() else None) == before


def test_without_cuda_the_gpu_benchmark_refuses_before_it_writes_anything(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="measures on a CUDA device and finds none"):
        gpu.main(["--folder", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_case_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--only", "lore"])
    assert ended.value.code == 2
    assert "lora" in capsys.readouterr().err
