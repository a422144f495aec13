"""The page and its picture, made of the measurements alone; `python -m benchmarks.page` writes them again."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import cases, machine
from benchmarks.cases import CASES
from benchmarks.data.section import section
from benchmarks.plot import plot
from benchmarks.records import Records, Run, middle, ratio
from benchmarks.systems.table import SYSTEMS
from benchmarks.targets import curve_distance, judge
from benchmarks.workload import MAX_LENGTH, MEDIAN, make_rows, padded_tokens

ROOT = Path(__file__).parents[1]
NOTHING = "–"
ORDERS = 200


def write_page(records: Records, page: Path) -> None:
    """Writes `page`, and beside it `benchmarks.svg`."""
    page.parent.mkdir(parents=True, exist_ok=True)
    runs = {name: records.runs(name) for name in CASES}
    picture = page.with_suffix(".svg")
    plot(runs, picture)
    page.write_text(page_text(records, picture.name), encoding="utf-8")


def page_text(records: Records, picture: str) -> str:
    runs = {name: records.runs(name) for name in CASES}
    parts = ["# Benchmarks", _introduction(records)]
    if any(runs.values()):
        parts += [f"![Rows per second and peak memory of every system]({picture})", *_targets(runs)]
    for name, case in CASES.items():
        if runs[name]:
            parts += [f"## {case.title}", _case_table(case.systems, runs[name]), _floor_text(runs[name])]
    parts += [section(records), *_help(records), *_settings(records), _method()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _introduction(records: Records) -> str:
    said = "Made by `make bench`; every figure was measured in its runs, none is written by hand."
    if not (machines := records.all("machine")):
        return said
    last = machines[-1]
    shape = last["shape"]
    names = {(each["processor"], each["cores"]) for each in machines}
    where = " and ".join(f"{processor}, {cores} cores" for processor, cores in sorted(names))
    return (
        f"{said} Last run {last['date']} at commit {last['commit']}; {where}, "
        f"{last['memory_bytes'] / 2**30:.0f} GiB of memory.\n\n"
        f"The work: a random Llama of {shape['layers']} layers, width {shape['hidden']} and a vocabulary of "
        f"{shape['vocabulary']:,} words (SmolLM2-135M has these sizes), float32; {last['rows']} rows of a question and "
        f"an answer, {last['tokens']:,} tokens, {last['learned']:,} of them learned; lengths log-normal, median about "
        f"{MEDIAN} tokens, at most {MAX_LENGTH}; {cases.ROWS_PER_STEP} rows a step; AdamW, learning rate "
        f"{cases.LEARNING_RATE:g} falling linearly. Adapters have rank {cases.RANK}, alpha {cases.ALPHA}, no dropout, "
        "on all linear layers of the blocks."
    )


def _targets(runs: dict[str, list[Run]]) -> list[str]:
    verdicts = judge(runs)
    words = {True: "reached", False: "**missed**", None: NOTHING}
    rows = [(each.what, each.target, each.measured, words[each.reached]) for each in verdicts]
    missed = [each.what for each in verdicts if each.reached is False]
    sentence = f"Missed: {'; '.join(missed)}." if missed else ""
    return ["## Targets", _table(("what", "target", "measured", ""), rows), sentence]


def _case_table(order: Sequence[str], runs: Sequence[Run]) -> str:
    head = (
        "system", "rounds", "training (s)", "rows/s", "tokens/s", "learned tokens/s", "peak memory (GiB)",
        "first step ended after (s)", "whole process (s)", "final loss", "steps", "share of the floor's rate",
        "Furrow's rows/s over it", "Furrow's memory over it",
    )  # fmt: skip
    rows = []
    for name in order:
        mine = [run for run in runs if run.system == name]
        good = [run for run in mine if run.failed is None]
        if not good:
            said = f"failed: {mine[-1].failed}" if mine else "not measured"
            rows.append((SYSTEMS[name].title, said, *[NOTHING] * (len(head) - 2)))
            continue
        rows.append(
            (
                SYSTEMS[name].title,
                len(good),
                _number(middle(good, lambda run: run.train_seconds), 1),
                _number(middle(good, lambda run: run.rows_per_second), 2),
                _number(middle(good, lambda run: run.tokens_per_second), 0),
                _number(middle(good, lambda run: run.learned_per_second), 0),
                _number(middle(good, lambda run: run.peak_bytes / 2**30), 2),
                _number(middle(good, lambda run: run.first_step_seconds), 1),
                _number(middle(good, lambda run: run.seconds), 1),
                _number(middle(good, lambda run: run.losses[-1] if run.losses else None), 4),
                _number(middle(good, lambda run: len(run.losses)), 0),
                _share(middle(good, lambda run: run.floor_share)),
                _times(None if name == "furrow" else ratio(runs, "furrow", name, lambda run: run.rows_per_second)),
                _times(None if name == "furrow" else ratio(runs, "furrow", name, lambda run: run.peak_bytes)),
            )
        )
    return _table(head, rows)


def _floor_text(runs: Sequence[Run]) -> str:
    rate = middle(runs, lambda run: run.gflops)
    floor = middle(runs, lambda run: run.floor_seconds)
    text = (
        f"The floor: {runs[-1].operations / 1e12:.2f} T operations take {floor:.1f} s at the {rate:.0f} GFLOP/s that "
        "plain matrix products of these shapes reached in the same rounds."
    )
    distance = curve_distance(runs)
    if distance is not None:
        text += f" Furrow's and Trainer's losses differ by {distance:.1e} at most at any step."
    return text


def _help(records: Records) -> list[str]:
    latest = records.latest("help", "system")
    if not latest:
        return []
    rows = [(SYSTEMS[name].title, f"{each['seconds']:.2f}") for name, each in latest.items() if name in SYSTEMS]
    rows.sort(key=lambda row: float(row[1]))
    return ["## Start-up", _table(("`--help` of", "seconds, best of 5"), rows)]


def _settings(records: Records) -> list[str]:
    """How each was run, and what pip said where one did not install."""
    made = records.latest("environment", "name")
    rows = []
    for system in SYSTEMS.values():
        environment = made.get(system.environment or "furrow")
        if environment is None:
            rows.append((system.title, system.settings, "not measured"))
        elif not environment["installed"]:
            rows.append((system.title, system.settings, f"did not install: {environment['said']}"))
        else:
            rows.append((system.title, system.settings, _versions(environment)))
    return ["## How each was run", _table(("system", "settings", "versions"), rows)]


def _versions(environment: dict[str, Any]) -> str:
    listed = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    minutes = f"; installed in {environment['minutes']:.1f} min" if "minutes" in environment else ""
    note = f"; {environment['note']}" if environment.get("note") else ""
    return listed + minutes + note


def _method() -> str:
    sizes = [row.tokens for row in make_rows()]
    in_order = padded_tokens(sizes, cases.PEER_BATCH)
    chance = random.Random(0)
    on_average = mean(padded_tokens(chance.sample(sizes, len(sizes)), cases.PEER_BATCH) for _ in range(ORDERS))
    return f"""## How it is measured

- Every run is a fresh process, and the systems take turns: A B C, A B C. A figure is the median over the rounds; a
  ratio is the median of the ratios within a round. `training` lasts from the beginning of the first step to the end of
  the last, as the system's own output tells it while it runs; loading, data preparation and saving are outside it and
  inside `whole process`.
- Rows per second, tokens per second and learned tokens per second count the rows and tokens of the data, no padding.
  The order of the rows is that of the file for everybody who can be told so: padded in micro-batches of
  {cases.PEER_BATCH} they are {in_order:,} tokens, and {on_average:,.0f} in the mean of {ORDERS} random orders.
- One word is one token in the benchmark's tokenizer, so that a text has the same ids in every tool; who takes ids gets
  the same ids.
- Peak memory is the largest resident size of the process, or of its whole tree where it has children.
- The floor counts 2 operations for each weight of a linear layer and token forward, 2 for the gradient of its input,
  2 for the gradient of the weight where it learns (all weights only): LoRA on all layers is tokens x 4 x the weights of
  the blocks + learned tokens x 4 x the head. Layers below the first that learns count once and forward only. Attention,
  norms, adapters and the optimiser are not in it. The rate is that of products of {machine.TOKENS:,} tokens with the
  model's own matrices, forward and back, the best of {machine.REPEATS}, measured at the beginning of each round.
- Furrow's and Trainer's adapters begin with the same numbers, and both see the same rows in every step; so their losses
  can be compared step by step."""


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}"


def _share(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.0%}"


def _times(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}x"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def main() -> None:
    write_page(Records(ROOT / "benchmarks/results.jsonl"), ROOT / "docs/benchmarks.md")


if __name__ == "__main__":
    main()
