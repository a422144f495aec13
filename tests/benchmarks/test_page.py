from pathlib import Path

from benchmarks.page import page_text, write_page
from benchmarks.records import Records, Run
from benchmarks.targets import judge

ROOT = Path(__file__).parents[2]


def run(system, number, seconds, **more):
    facts = {"case": "lora", "rows": 96, "tokens": 960, "learned": 480, "operations": 10**12, "gflops": 100.0}
    facts |= {"first_step_seconds": 10.0, "peak_bytes": 2 << 30, "losses": [3.0, 2.0]}
    return Run(system=system, round=str(number), seconds=seconds + 5, train_seconds=seconds, **facts | more)


def verdict(runs, part):
    return next(each for each in judge({"lora": runs}) if part in each.what)


def test_a_reached_target_and_a_missed_one_are_said_plainly(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    for measured in (run("furrow", 1, 40), run("trainer", 1, 100), run("litgpt", 1, 100)):
        records.add_run(measured)
    text = page_text(records, "benchmarks.svg")
    assert "| rows/s against Trainer + PEFT | at least 2.3x | 2.50x | reached |" in text
    assert "| rows/s against LitGPT | at least 4.0x | 2.50x | **missed** |" in text
    assert "Missed: rows/s against LitGPT" in text
    assert "| rows/s against TRL packed, as it ships | at least 2.0x | not measured | – |" in text


def test_memory_is_judged_against_trainer():
    runs = [run("furrow", 1, 40, peak_bytes=1 << 30), run("trainer", 1, 100, peak_bytes=4 << 30)]
    measured = verdict(runs, "peak memory")
    assert (measured.measured, measured.reached) == ("0.25x", True)


def test_the_first_step_is_compared_with_the_quickest_peer():
    runs = [run("furrow", 1, 40, first_step_seconds=6.0), run("trainer", 1, 100, first_step_seconds=12.0)]
    runs.append(run("litgpt", 1, 100, first_step_seconds=8.0))
    measured = verdict(runs, "first step")
    assert measured.measured == "0.75x (litgpt)"
    assert measured.reached is False


def test_a_curve_that_differs_at_one_step_is_not_the_same():
    runs = [run("furrow", 1, 40, losses=[3.0, 2.0]), run("trainer", 1, 100, losses=[3.0, 2.1])]
    assert verdict(runs, "loss curve").reached is False


def test_a_peer_that_failed_or_did_not_install_stands_in_the_tables_with_what_it_said(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    records.add_run(run("furrow", 1, 40))
    records.add_run(run("litgpt", 1, 1, failed="ended with 1: ValueError: no"))
    records.add("environment", {"name": "axolotl", "installed": False, "said": "ERROR: none for you | me"})
    text = page_text(records, "benchmarks.svg")
    assert "failed: ended with 1: ValueError: no" in text
    assert "did not install: ERROR: none for you \\| me" in text


def test_the_same_measurements_make_the_same_page_and_picture(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    records.add_run(run("furrow", 1, 40))
    records.add_run(run("trainer", 1, 100))
    pages = []
    for name in ("first", "second"):
        write_page(records, tmp_path / name / "benchmarks.md")
        pages.append([(tmp_path / name / file).read_bytes() for file in ("benchmarks.md", "benchmarks.svg")])
    assert pages[0] == pages[1]
    assert b"Trainer + PEFT" in pages[0][1]


def test_the_published_page_is_what_the_published_measurements_make():
    measured = ROOT / "benchmarks/results.jsonl"
    if measured.is_file():
        page = ROOT / "docs/benchmarks.md"
        assert page.read_text(encoding="utf-8") == page_text(Records(measured), "benchmarks.svg")
