import pytest

from benchmarks.records import Records, Run, farthest, middle, ratio


def run(system, number, seconds, **more):
    facts = {"case": "lora", "rows": 96, "tokens": 960, "learned": 480, "operations": 10**12, "gflops": 100.0}
    return Run(system=system, round=str(number), seconds=seconds + 5, train_seconds=seconds, **facts | more)


def test_a_ratio_is_the_median_of_the_ratios_within_a_round():
    runs = [run("furrow", 1, 10), run("trainer", 1, 20), run("furrow", 2, 10), run("trainer", 2, 40)]
    runs += [run("furrow", 3, 20), run("trainer", 3, 60), run("furrow", 4, 1)]  # the last has no partner
    assert ratio(runs, "furrow", "trainer", lambda each: each.rows_per_second) == pytest.approx(3.0)


def test_a_failed_run_is_in_no_ratio():
    runs = [run("furrow", 1, 10), run("trainer", 1, 20, failed="ended with 1")]
    assert ratio(runs, "furrow", "trainer", lambda each: each.rows_per_second) is None


def test_figures_are_medians_over_the_rounds():
    runs = [run("furrow", number, seconds) for number, seconds in enumerate((10, 12, 30))]
    assert middle(runs, lambda each: each.train_seconds) == 12
    assert middle([], lambda each: each.train_seconds) is None


def test_rates_count_the_rows_and_tokens_of_the_data():
    measured = run("furrow", 1, 20)
    assert (measured.rows_per_second, measured.tokens_per_second, measured.learned_per_second) == (4.8, 48, 24)


def test_the_share_of_the_floor_is_its_seconds_over_the_training_s():
    measured = run("furrow", 1, 20)  # 1e12 operations at 100 GFLOP/s are 10 seconds
    assert measured.floor_seconds == pytest.approx(10)
    assert measured.floor_share == pytest.approx(0.5)


def test_two_curves_are_as_far_apart_as_at_their_worst_step():
    assert farthest([3.0, 2.0, 1.0], [3.0, 2.5, 0.9]) == pytest.approx(0.5)
    assert farthest([3.0], [3.0, 2.0]) is None
    assert farthest([], []) is None


def test_what_was_measured_is_read_back_and_a_case_can_be_forgotten(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    records.add_run(run("furrow", 1, 10))
    records.add_run(run("furrow", 2, 10, case="full"))
    records.add("machine", {"processor": "a"})
    assert records.runs("lora") == [run("furrow", 1, 10)]
    records.forget("lora")
    assert records.runs("lora") == []
    assert records.runs("full") == [run("furrow", 2, 10, case="full")]
    assert records.all("machine") == [{"processor": "a"}]


def test_a_machine_is_forgotten_with_the_last_of_what_was_measured_on_it(tmp_path):
    records = Records(tmp_path / "results.jsonl")
    for name, measured in (("a", run("furrow", 1, 10)), ("b", run("furrow", 2, 10, case="full")), ("c", None)):
        records.add("machine", {"processor": name})
        records.add("environment", {"name": "trl"})
        if measured:
            records.add_run(measured)
    records.add("help", {"system": "furrow", "seconds": 1.0})
    records.add("machine", {"processor": "d"})
    records.forget("lora")
    assert [each["processor"] for each in records.all("machine")] == ["b", "c", "d"]
    records.forget("help")
    assert [each["processor"] for each in records.all("machine")] == ["b", "d"]
    assert len(records.all("environment")) == 3 and records.runs("full")
