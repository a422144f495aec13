"""What a report says, apart from how it is written: sections of tables, curves, answers and findings.

Every number is read from what the run measured; `report.md` and `report.html` are two renderings of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from furrow.components.confusion import f1_by_class
from furrow.stages.reporting.curves import Chart, Points, Series
from furrow.stages.reporting.record import Answers, Record, RunRecord, points, read_record
from furrow.stages.run.folder import RunFolder
from furrow.strategies.schema import MonitoringConfig, Strategy


@dataclass(frozen=True)
class Table:
    """Rows of texts and numbers under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Figures:
    """The few numbers that one looks for first."""

    figures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Findings:
    """(what, remedy) of what looked wrong; none is good news."""

    findings: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Curves:
    """Charts over the steps of the run."""

    charts: Sequence[Chart]


@dataclass(frozen=True)
class Samples:
    """Prompts with the answers before and after."""

    answers: Sequence[Answers]


@dataclass(frozen=True)
class Code:
    """Text as it stands in a file."""

    text: str
    language: str


_CONSEQUENCES = {"stop": "the run ended", "skip": "left out", "rollback": "rolled back"}
NOTHING_FOUND = "No rule found anything to warn of."
NOT_JUDGED = "No rule was asked (`monitoring.diagnostics: false`)."
NO_METRICS = "The strategy keeps no metrics (`monitoring.track_training_metrics: false`)."
NO_STEPS = "metrics.jsonl holds no step; where the tracker `jsonl` failed, the output of the run says why."

Block = Table | Figures | Findings | Curves | Samples | Code | str
"""A text is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    description: str
    sections: Sequence[Section]


def page_of(run: RunFolder, strategy: Strategy, more: Sequence[Section] = ()) -> Page:
    """`more` comes before the settings."""
    record, manifest = read_record(run.metrics), run.read_manifest()
    sections = [*_training(record, strategy.monitoring), *_exports(manifest.get("exports") or []), *more]
    sections.append(Section("Settings", [Code(run.strategy.read_text(encoding="utf-8").strip(), "yaml")]))
    versions = Table(("package", "version"), list(manifest.get("versions", {}).items()))
    sections.append(Section("Versions", [versions]))
    return Page(strategy.title or strategy.key, strategy.description, sections)


def _training(record: RunRecord, monitoring: MonitoringConfig) -> list[Section]:
    if not record.steps:
        return [Section("Training", [NO_STEPS if monitoring.track_training_metrics else NO_METRICS])]
    judged = monitoring.diagnostics or record.warnings  # some warnings come from elsewhere
    found = [
        Section("Training", [Figures(_headline(record)), Table(("what", "measured"), list(_facts(record)))]),
        Section("Diagnosis", [Findings(record.warnings) if judged else NOT_JUDGED]),
        Section("Curves", [Curves(_charts(record))]),
    ]
    if answers := record.answers():
        found.append(Section("Samples before and after", [Samples(answers)]))
    return [*found, *_mix(record), *_classes(record)]


def _headline(record: RunRecord) -> list[tuple[str, str]]:
    steps, evaluations, ended = record.steps, record.evaluations, record.last("training_ended")
    figures = [("train loss, last step", _loss(steps[-1]["loss"]))]
    kept = [event for event in evaluations if ended and event["step"] == ended["best_step"]] or evaluations[-1:]
    for event in kept:
        figures.append(("eval loss", _loss(event["eval_loss"])))
        if event.get("eval_perplexity") is not None:
            figures.append(("eval perplexity", f"{float(event['eval_perplexity']):.3f}"))
        figures += [(_name(name), f"{float(value):.3f}") for name, value in event.get("metrics", {}).items()]
    seconds, tokens = sum(step["seconds"] for step in steps), sum(step["total_tokens"] for step in steps)
    figures.append(("steps", f"{len(steps):,}"))
    figures.append(("tokens/s", f"{tokens / seconds:,.0f}" if seconds else "-"))
    if memory := points(steps, "memory_bytes"):
        figures.append(("peak memory", f"{max(value for _, value in memory) / 2**30:.2f} GiB"))
    figures.append(("time", _duration(ended["seconds"] + _before(record) if ended else seconds)))
    return figures


def _before(record: RunRecord) -> float:
    """Seconds of what a resumed run did before it was cut off, as far as it was gone on from."""
    resumed = record.last("resumed")
    if resumed is None:
        return 0.0
    measured = [*record.steps, *record.evaluations]
    return float(sum(event["seconds"] for event in measured if event["step"] <= resumed["step"]))


def _mix(record: RunRecord) -> list[Section]:
    """What an epoch has of each set, by rows as the weights ask for it, and by what is learned."""
    mix = record.last("mix_delivered")
    if mix is None:
        return []
    rows, learned = (max(sum(mix[name]), 1) for name in ("rows", "learned_tokens"))
    lines = [
        (file, f"{count:,} of {has:,}", *(f"{share:.1%}" for share in (wanted, count / rows, tokens / learned)), at)
        for file, count, has, wanted, tokens, at in zip(
            mix["files"], mix["rows"], mix["available"], mix["wanted"], mix["learned_tokens"],
            mix["eval_rows"] or ["-"] * len(mix["files"]), strict=True,
        )
    ]  # fmt: skip
    head = ("set", "rows an epoch", "share asked for", "of the rows", "of the learned tokens", "rows to evaluate on")
    return [Section("Mix", [Table(head, lines)])]


def _facts(record: RunRecord) -> Iterable[tuple[str, str]]:
    if data := record.last("data_prepared"):
        yield "rows", f"{data['train_rows']:,} to train on, {data['eval_rows']:,} to evaluate"
        yield "rows dropped, cut", f"{data['dropped_rows']:,}, {data['truncated_rows']:,}"
        if bad := record.last("rows_set_aside"):
            yield "rows set aside", f"{bad['rows']:,} of {bad['of']:,}, in {bad['path']}: {', '.join(bad['first'])}"
        mix = record.last("mix_delivered") or {}
        learned = sum(mix.get("learned_tokens", [data["learned_tokens"]]))
        tokens = sum(mix.get("tokens", [data["train_tokens"]]))
        yield "tokens an epoch", f"{tokens:,}" + (f", learned {learned:,} ({learned / tokens:.0%})" if learned else "")
    if begun := record.last("training_started"):
        trained, total = begun["trainable_parameters"], begun["total_parameters"]
        yield "parameters trained", f"{trained:,} of {total:,} ({trained / total:.1%})"
        yield "device", f"{begun['device']}, {begun['dtype']}"
        yield "steps", f"{len(record.steps):,} of {begun['total_steps']:,}, {begun['effective_batch_rows']} rows each"
    for wrong in record.named("non_finite"):
        yield "not finite", f"step {wrong['step']}: {wrong['what']} {wrong['value']} ({_CONSEQUENCES[wrong['action']]})"
    for back in record.named("rolled_back"):
        lower = f"step {back['skipped']} left out, learning rates times {back['learning_rate_scale']:g}"
        yield "rolled back", f"to step {back['step']}: {lower}"
    for shrunk in record.named("micro_batch_shrunk"):
        yield "memory ran out", f"step {shrunk['step']}: from {shrunk['was']:,} to {shrunk['tokens']:,} tokens a pass"
    seconds, tokens = (sum(step[name] for step in record.steps) for name in ("seconds", "total_tokens"))
    yield "work", f"{tokens:,} tokens in {seconds:.1f} s of steps"
    if ended := record.last("training_ended"):
        yield "kept", f"the weights after step {ended['best_step']:,}"


def _charts(record: RunRecord) -> list[Chart]:
    """Every curve that the run has points of."""
    steps, evaluations = record.steps, record.evaluations
    speed = [(step["step"], step["total_tokens"] / step["seconds"]) for step in steps if step["seconds"] > 0]
    memory = [(step, value / 2**30) for step, value in points(steps, "memory_bytes")]
    wanted: list[tuple[str, str, tuple[Series, ...]]] = [
        ("Loss", "", (_noisy("train", points(steps, "loss")), _measured("eval", evaluations, "eval_loss"))),
        ("Perplexity", "", (_measured("eval", evaluations, "eval_perplexity"),)),
        *_metrics(steps, evaluations),
        ("Gradient norm", "", (_noisy("train", points(steps, "grad_norm")),)),
        ("Learning rate", "", (Series("rate", points(steps, "learning_rate")),)),
        ("Speed", "tokens/s", (_noisy("train", speed),)),
        ("Peak memory", "GiB", (Series("so far", memory),)),
    ]
    drawn = [(title, unit, tuple(line for line in series if line.points)) for title, unit, series in wanted]
    return [Chart(title, unit, series, steps[-1]["step"]) for title, unit, series in drawn if series]


def _metrics(steps: Sequence[Record], evaluations: Sequence[Record]) -> Iterable[tuple[str, str, tuple[Series, ...]]]:
    """What the objective measures besides its loss, each in a chart of its own."""
    trained = {name for step in steps for name in step.get("metrics", {})}
    evaluated = {name for event in evaluations for name in event.get("metrics", {})}
    for name in sorted(trained | {name.removeprefix("eval_") for name in evaluated}):
        train = _noisy("train", points(steps, "metrics", name))
        yield _name(name).capitalize(), "", (train, _measured("eval", evaluations, "metrics", f"eval_{name}"))


def _noisy(name: str, found: Points) -> Series:
    return Series(name, found, noisy=True)


def _measured(name: str, records: Sequence[Record], *path: str) -> Series:
    return Series(name, points(records, *path), measured=True)


def _classes(record: RunRecord) -> list[Section]:
    """How the classes were told apart, at the weights that were kept."""
    ended = record.last("training_ended")
    counted = [event for event in record.evaluations if event.get("tables", {}).get("confusion")]
    kept = [event for event in counted if ended and event["step"] == ended["best_step"]] or counted[-1:]
    names = record.last("classes_counted")
    if not kept or not names:
        return []
    confusion, labels = kept[0]["tables"]["confusion"], names["labels"]
    scores = ["-" if score is None else f"{score:.3f}" for score in f1_by_class(confusion)]
    rows = [(label, *row, score) for label, row, score in zip(labels, confusion, scores, strict=True)]
    said = f"After step {kept[0]['step']}: each row is a class of the data, each column what the model took it for."
    return [Section("Classes", [said, Table(("class", *labels, "F1"), rows)])]


def _exports(made: Sequence[Record]) -> list[Section]:
    if not made:
        return []
    rows = []
    for export in made:
        figures = export["verified"][-1] if export["verified"] else None
        agreement = f"{figures['top1_agreement']:.1%}" if figures else "-"
        divergence = f"{figures['mean_kl']:.2g}, {figures['max_kl']:.2g}" if figures else "-"
        rows.append((export["format"], export["path"], f"{export['bytes'] / 2**20:.1f}", agreement, divergence))
    return [Section("Exports", [Table(("format", "path", "MiB", "same top token", "KL mean, max (nats)"), rows)])]


def _name(metric: str) -> str:
    return metric.replace("_", " ")


def _loss(value: Any) -> str:
    return f"{float(value):.4f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
