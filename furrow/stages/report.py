"""`report.md`: one page on what a run did, every number read from what it measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from furrow.components.publish import publish_text
from furrow.stages.curves import picture, text_curve
from furrow.stages.run import RunFolder
from furrow.strategies.schema import Strategy


def write_report(run: RunFolder, strategy: Strategy, sections: Sequence[str] = ()) -> Path:
    """Publishes the page and its picture in the run folder; `sections` (Markdown) come before the settings."""
    events = _events(run)
    parts = [f"# {strategy.title or strategy.key}", *_training(run, events), *_exports(run), *sections]
    parts += ["## Settings", f"```yaml\n{run.strategy.read_text(encoding='utf-8').strip()}\n```"]
    versions = run.read_manifest().get("versions", {})
    parts += ["## Versions", table(("package", "version"), versions.items())]
    publish_text(run.report, "\n\n".join(parts) + "\n")
    return run.report


def table(head: Sequence[str], rows: Any) -> str:
    """A Markdown table; cells are escaped, so that data cannot break it."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def _events(run: RunFolder) -> list[dict[str, Any]]:
    if not run.metrics.is_file():
        return []
    return [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]


def _training(run: RunFolder, events: list[dict[str, Any]]) -> list[str]:
    named: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        named.setdefault(event["event"], []).append(event)
    steps, evaluations = named.get("step_ended", []), named.get("evaluated", [])
    if not steps:
        return ["The strategy keeps no metrics (`monitoring.track_training_metrics: false`)."]
    losses = [(step["step"], step["loss"]) for step in steps]
    measured = [(event["step"], event["eval_loss"]) for event in evaluations if isinstance(event["eval_loss"], float)]
    picture(run.path / "loss.png", losses, measured)
    curve = f"train {text_curve(losses)}  {losses[0][1]:.3f} → {losses[-1][1]:.3f}"
    if measured:
        curve += f"\neval  {text_curve(measured)}  {measured[0][1]:.3f} → {measured[-1][1]:.3f}"
    rows = [*_facts(named), ("steps", len(steps))]
    seconds, tokens = sum(step["seconds"] for step in steps), sum(step["total_tokens"] for step in steps)
    rows.append(("tokens/s", f"{tokens / seconds:,.0f} ({tokens:,} tokens in {seconds:.1f} s of steps)"))
    rows += [("eval perplexity", f"{float(event['eval_perplexity']):.3f}") for event in evaluations[-1:]]
    rows += [(f"{event['event']}: {event['message']}", event.get("remedy") or "") for event in named.get("warned", [])]
    return ["## Training", "![loss by step](loss.png)", f"```\n{curve}\n```", table(("what", "measured"), rows)]


def _facts(named: dict[str, list[dict[str, Any]]]) -> list[tuple[str, str]]:
    rows = []
    for event in named.get("data_prepared", []):
        rows.append(("rows", f"{event['train_rows']} to train on, {event['eval_rows']} to evaluate"))
        rows.append(("rows dropped, cut", f"{event['dropped_rows']}, {event['truncated_rows']}"))
    for event in named.get("training_started", []):
        trained, total = event["trainable_parameters"], event["total_parameters"]
        rows.append(("parameters trained", f"{trained:,} of {total:,} ({trained / total:.1%})"))
        rows.append(("device", f"{event['device']}, {event['dtype']}"))
    for event in named.get("training_ended", []):
        rows.append(("kept", f"the weights after step {event['best_step']}"))
    return rows


def _exports(run: RunFolder) -> list[str]:
    made = run.read_manifest().get("exports") or []
    if not made:
        return []
    rows = []
    for export in made:
        figures = export["verified"][-1] if export["verified"] else None
        agreement = f"{figures['top1_agreement']:.1%}" if figures else "-"
        divergence = f"{figures['mean_kl']:.2g}, {figures['max_kl']:.2g}" if figures else "-"
        rows.append((export["format"], export["path"], f"{export['bytes'] / 2**20:.1f}", agreement, divergence))
    return ["## Exports", table(("format", "path", "MiB", "same top token", "KL mean, max (nats)"), rows)]
