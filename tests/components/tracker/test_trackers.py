"""What a tracker wrote can be read back; all of it is written without a network."""

import json
import math
import sqlite3
import struct
import sys
import zipfile

import pytest

from furrow.components.disk.storage import StorageError
from furrow.components.events import DataPrepared, Evaluated, Resumed, StepEnded, TrainingStarted, Warned
from furrow.components.registry import factory, find
from furrow.components.tracker import TrackedRun
from tests.faults.campaign.small_disk import fill, on_small_disk

STARTED = TrainingStarted(
    total_steps=2, effective_batch_rows=4, trainable_parameters=1, total_parameters=1, device="cpu", dtype="float32"
)


def step(number, loss, **more):
    return StepEnded(
        step=number,
        epoch=0.5,
        loss=loss,
        learning_rate=1e-4,
        grad_norm=0.8,
        learned_tokens=5,
        total_tokens=8,
        seconds=0.5,
        **more,
    )


EVENTS = [
    DataPrepared(
        train_rows=1, eval_rows=1, train_tokens=8, learned_tokens=5, truncated_rows=0, dropped_rows=0, duplicate_rows=0
    ),
    STARTED,
    step(1, 2.0, memory_bytes=4096, metrics={"accuracy": 0.25}),
    step(2, 1.5, memory_bytes=4096, metrics={"accuracy": 0.5}),
    Warned(message="careful"),
    Evaluated(step=2, eval_loss=1.0, eval_perplexity=math.e, seconds=0.1, metrics={"eval_accuracy": 0.75}),
]
TRAIN = {"train/loss", "train/learning_rate", "train/grad_norm", "train/epoch", "train/step_seconds"} | {
    "train/tokens_per_second", "train/memory_bytes", "train/accuracy"
}  # fmt: skip


def tracker(kind, folder, **settings):
    component = find("tracker", kind)
    run = TrackedRun(folder=folder, project="garden", name="first", settings={"training_args.seed": 42, "title": "T"})
    return factory(component)(component.config(**settings), run)


def tracked(kind, folder, *, failed=False, **settings):
    """Everything that happened in a small run, and the end of it."""
    write = tracker(kind, folder, **settings)
    for event in EVENTS:
        write(event)
    write.close(failed=failed)


def test_metrics_hold_every_event_unrounded_on_a_line_of_its_own_at_once(tmp_path):
    write = tracker("jsonl", tmp_path)
    loss = 1.9234567890123456
    for event in (step(1, loss), Warned(message="é\nü")):
        write(event)
    lines = (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()  # not closed yet
    assert [json.loads(line)["event"] for line in lines] == ["step_ended", "warned"]
    assert json.loads(lines[0])["loss"] == loss
    assert json.loads(lines[1])["message"] == "é\nü"
    write.close()


@pytest.mark.parametrize(("loss", "written"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_a_figure_that_is_no_number_leaves_valid_json(tmp_path, loss, written):
    write = tracker("jsonl", tmp_path)
    write(step(1, loss, metrics={"margin": loss}))
    write.close()

    def refuse(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    assert read["loss"] == read["metrics"]["margin"] == written


def test_a_resumed_run_adds_to_its_metrics(tmp_path):
    for number in (1, 2):
        write = tracker("jsonl", tmp_path)
        write(step(number, 1.0))
        write.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 2


def test_tensorboard_reads_the_curves_back(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracked("tensorboard", tmp_path)
    read = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/loss")] == [(1, 2.0), (2, 1.5)]
    assert [point.value for point in read.Scalars("train/grad_norm")] == [pytest.approx(0.8)] * 2
    assert [(point.step, point.value) for point in read.Scalars("eval/perplexity")] == [(2, pytest.approx(math.e))]
    assert [point.value for point in read.Scalars("eval/accuracy")] == [0.75]


def test_tensorboard_shows_no_step_of_before_the_cut_that_was_not_gone_on_from(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for events in ([step(1, 3.0), step(2, 2.0), step(3, 9.0), step(4, 9.0)], [Resumed(step=2, path="c"), step(3, 1.0)]):
        write = tracker("tensorboard", tmp_path)
        for event in events:
            write(event)
        write.close()
    read = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(point.step, point.value) for point in read.Scalars("train/loss")] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def wandb_records(raw):
    """LevelDB's log format: blocks of 32 KiB, in each, pieces with a header of checksum, length and kind."""
    at, whole = 7, b""
    while at < len(raw):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", raw[at : at + 7])
        whole += raw[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield whole
            whole = b""


def test_wandb_offline_holds_settings_and_figures(tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    tracked("wandb", tmp_path, offline=True)
    [file] = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    history, settings, names = [], {}, []
    for raw in wandb_records(file.read_bytes()):
        record = proto.Record()
        record.ParseFromString(raw)
        if record.HasField("history"):
            found = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
            history.append(found)
        elif record.HasField("config"):
            settings |= {item.key: json.loads(item.value_json) for item in record.config.update}
        elif record.HasField("run"):
            names.append((record.run.project, record.run.display_name))
    assert settings == {"training_args.seed": 42, "title": "T"} and names[0] == ("garden", "first")
    assert [(line["_step"], line["train/loss"]) for line in history] == [(1, 2), (2, 1.5)]
    assert history[0].keys() >= TRAIN and history[1]["eval/loss"] == 1
    assert capsys.readouterr().out == ""


def test_mlflow_keeps_the_run_in_a_database_of_its_own(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracked("mlflow", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow/mlflow.db") as database:
        read = database.execute("select key, step, value from metrics").fetchall()
        settings = dict(database.execute("select key, value from params").fetchall())
        assert database.execute("select name, status from runs").fetchall() == [("first", "FINISHED")]
    assert settings == {"training_args.seed": "42", "title": "T"}
    assert {name for name, _, _ in read} >= TRAIN
    assert {("train/loss", 1, 2.0), ("train/loss", 2, 1.5), ("eval/accuracy", 2, 0.75)} <= set(read)
    assert capsys.readouterr().out == ""


def test_mlflow_is_told_of_a_run_that_failed(tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracked("mlflow", tmp_path, failed=True)
    with sqlite3.connect(tmp_path / "mlflow/mlflow.db") as database:
        assert database.execute("select status from runs").fetchall() == [("FAILED",)]


def test_wandb_is_told_of_a_run_that_failed(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    proto = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    tracked("wandb", tmp_path, offline=True, failed=True)
    [file] = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    records = []
    for raw in wandb_records(file.read_bytes()):
        records.append(proto.Record())
        records[-1].ParseFromString(raw)
    assert [record.exit.exit_code for record in records if record.HasField("exit")] == [1]


def test_comet_is_told_of_a_run_that_failed(tmp_path):
    pytest.importorskip("comet_ml", reason="the extra `comet` is not installed")
    tracked("comet", tmp_path, offline=True, failed=True)
    [file] = (tmp_path / "comet").glob("*.zip")
    with zipfile.ZipFile(file) as archive:
        assert '"failed"' in archive.read("experiment.json").decode()


def test_comet_offline_holds_figures_and_nothing_of_the_machine(tmp_path, capsys):
    pytest.importorskip("comet_ml", reason="the extra `comet` is not installed")
    tracked("comet", tmp_path, offline=True)
    [file] = (tmp_path / "comet").glob("*.zip")
    with zipfile.ZipFile(file) as archive:
        about = json.loads(archive.read("experiment.json"))
        said = [json.loads(line)["payload"] for line in archive.read("messages.json").splitlines()]
    figures = {
        (one["metric"]["metricName"], one["metric"]["step"], one["metric"]["metricValue"])
        for one in said
        if one.get("metric")
    }
    settings = {one["param"]["paramName"]: one["param"]["paramValue"] for one in said if one.get("param")}
    assert about["project_name"] == "garden" and settings["training_args.seed"] == 42
    assert {("train/loss", 1, 2.0), ("train/loss", 2, 1.5), ("eval/loss", 2, 1.0)} <= figures
    assert not any("installed_packages" in one or "hostname" in one or one.get("env") for one in said)
    assert capsys.readouterr().out == ""


def test_trackio_keeps_figures_on_this_machine(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))  # which it reads when it is imported, here for the first time
    trackio = pytest.importorskip("trackio", reason="the extra `trackio` is not installed")
    tracked("trackio", tmp_path)
    with sqlite3.connect(trackio.utils.TRACKIO_DIR / "garden.db") as database:
        read = database.execute("select run_name, step, metrics from metrics order by id").fetchall()
        [(settings,)] = database.execute("select config from configs").fetchall()
    lines = [(name, number, json.loads(figures)) for name, number, figures in read]
    assert [(name, number) for name, number, _ in lines] == [("first", 1), ("first", 2), ("first", 2)]
    assert lines[0][2].keys() >= TRAIN and lines[0][2]["train/loss"] == 2.0 and lines[2][2]["eval/accuracy"] == 0.75
    assert json.loads(settings)["training_args.seed"] == 42
    assert trackio.context_vars.current_run.get() is None  # so that nothing is printed when the process ends
    assert capsys.readouterr().out == ""


class Service:
    """A double of accelerate's tracker classes."""

    def __init__(self):
        self.calls, self.asks = [], None

    def start(self):
        self.asks = sys.stdin.isatty()
        self.calls.append("start")
        print("welcome!")

    def store_init_configuration(self, values):
        self.calls.append(values)

    def log(self, values, step=None):
        self.calls.append((step, sorted(values)))

    def finish(self):
        self.calls.append("finish")


def test_a_service_is_asked_only_when_training_begins_and_can_neither_ask_nor_print(capsys, monkeypatch):
    from furrow.components.tracker.accelerated.tracker import AccelerateTracker

    class Terminal:
        isatty = staticmethod(lambda: True)

    monkeypatch.setattr(sys, "stdin", before := Terminal())
    service = Service()
    tracker = AccelerateTracker(service, {"seed": 1})
    tracker(EVENTS[0])
    tracker.close()
    assert service.calls == []  # the run failed before it trained
    tracker(STARTED)
    assert service.calls == ["start", {"seed": 1}] and service.asks is False
    tracker(EVENTS[-1])
    tracker.close()
    tracker.close()
    assert service.calls[2:] == [(2, ["eval/accuracy", "eval/loss", "eval/perplexity", "eval/seconds"]), "finish"]
    assert capsys.readouterr().out == "" and sys.stdin is before


def test_a_service_that_tells_failed_runs_from_finished_ones_is_told():
    from furrow.components.tracker.accelerated.tracker import AccelerateTracker

    service = Service()
    for failed, fail, said in (
        (True, lambda: service.calls.append("fail"), "fail"),
        (False, lambda: service.calls.append("fail"), "finish"),
        (True, None, "finish"),
    ):
        tracker = AccelerateTracker(service, {}, fail)
        tracker(STARTED)
        tracker.close(failed=failed)
        assert service.calls[-1] == said and service.calls[-3] == "start"


def test_a_full_disk_loses_no_line_and_stops_nobody(tmp_path, small_disks):
    def work(disk):
        fill(disk.place, 0)  # not even room for the name of the file
        write = tracker("jsonl", disk.place)
        for number in range(300):
            write(step(number, 2.0))
            if number in (50, 150):
                (disk.place / "ballast").unlink()  # there is room again,
            if number == 100:
                fill(disk.place, 4096)  # and some of it is gone again: a line is cut in two
        write.close()
        return 0

    child = on_small_disk(tmp_path, 500_000, work)
    assert child.code == 0, child.said
    lines = (tmp_path / "kept" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(300))


def test_lines_that_never_found_room_are_told_of_at_the_end(tmp_path, small_disks):
    def work(disk):
        write = tracker("jsonl", disk.place)
        fill(disk.place, 0)
        write(step(1, 2.0))
        with pytest.raises(StorageError, match=r"metrics.jsonl: the disk is full \(needed: "):
            write.close()
        return 0

    child = on_small_disk(tmp_path, 500_000, work)
    assert child.code == 0, child.said
