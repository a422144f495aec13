"""How fast rows are read, cleaned and split: `python -m benchmarks.data.preparing [--rows 1000000]`.

A file of short rows is made on the spot. Beside the whole (reading, layouts, every rule of filter_quality, exact
duplicates, a tenth of the rows to evaluate on) stands a plain loop of json.loads over the same lines, in the same
process and run, so that the figure means something on another machine. Memory is what the process's peak grew by, in a
process that has done the same with a hundred rows before.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.data.made_rows import write
from benchmarks.data.section import KEPT, now
from benchmarks.records import Records
from furrow.stages.data.rows import load_rows
from furrow.strategies.files import load


def prepare(file: Path) -> tuple[int, int]:
    """How many rows are learned and evaluated on."""
    blocks = {
        "dataset": {"train_file": str(file), "eval_split": 0.1, "cache_gb": 0},
        "data_preprocessing": {"filter_quality": True, "remove_duplicates": "exact"},
    }
    strategies = file.with_suffix(".yaml")
    strategies.write_text(json.dumps({"benchmark": blocks}), encoding="utf-8")
    rows = load_rows(load("benchmark", strategies), lambda event: None)
    return len(rows.train), len(rows.evaluation)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(folder: Path, count: int) -> dict[str, Any]:
    few, many = folder / "few.jsonl", folder / "many.jsonl"
    write(few, count=100)
    write(many, count=count)
    prepare(few)
    started = time.perf_counter()
    with many.open(encoding="utf-8") as lines:
        for line in lines:
            json.loads(line)
    parsed = time.perf_counter() - started
    before = peak_bytes()
    started = time.perf_counter()
    train, evaluation = prepare(many)
    seconds = time.perf_counter() - started
    return {
        **now(),
        "rows": count,
        "bytes": many.stat().st_size,
        "train_rows": train,
        "eval_rows": evaluation,
        "seconds": seconds,
        "json_loads_seconds": parsed,
        "peak_growth_bytes": peak_bytes() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--keep", action="store_true", help="add the figures to benchmarks/results.jsonl")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), asked.rows)
    print(
        f"{found['rows'] / found['seconds']:,.0f} rows/s read, cleaned and split; "
        f"{found['seconds'] / found['json_loads_seconds']:.1f}x json.loads alone; "
        f"peak memory grew by {found['peak_growth_bytes'] / 1e6:,.0f} MB"
    )
    if asked.keep:
        Records(KEPT).add("preparing", found)


if __name__ == "__main__":
    main()
