"""What docs/benchmarks.md says of data, made of the measurements alone."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from benchmarks.records import Records

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "benchmarks" / "results.jsonl"
WANTED_ROWS = 15_000
"""Rows a second that are read, cleaned and split, at least."""
WANTED_SHARE = 0.8
"""Of the rows a second of the library `tokenizers`, at least."""
WANTED_GROWTH = 300
"""MB by which a file of 2 GB may raise the peak of memory."""


def _above(found: dict[str, Any], figure: str) -> float:
    """MB of the large file above those of the small one."""
    return float(found["large"][figure] - found["small"][figure]) / 1e6


_SENTENCES = {
    "preparing": lambda found: (
        f"**Reading, cleaning and splitting**: {found['rows'] / found['seconds']:,.0f} rows/s "
        f"(wanted: {WANTED_ROWS:,}) over {found['rows']:,} rows of {found['bytes'] / found['rows']:.0f} bytes, "
        f"{found['seconds'] / found['json_loads_seconds']:.1f} times as long as `json.loads` of the same lines takes. "
        f"Peak memory grew by {found['peak_growth_bytes'] / 1e6:,.0f} MB, "
        f"{found['peak_growth_bytes'] / found['rows']:,.0f} bytes a row."
    ),
    "tokenising": lambda found: (
        "**Tokenising**, from rendered pieces to labelled examples, over "
        f"{found['rows']:,} rows, against `encode_batch` of the library `tokenizers` on the same texts (wanted: "
        f"{WANTED_SHARE:.0%} of its rows/s): "
        + "; ".join(
            f"{name} {figures['ratio']:.0%} ({figures['tokenising, rows/s']:,.0f} rows/s, with rendering "
            f"{figures['with rendering, rows/s']:,.0f})"
            for name, figures in found["templates"].items()
        )
        + "."
    ),
    "streaming": lambda found: (
        f"**Streaming**: a file of {found['bytes'] / 1e6:,.0f} MB, {found['rows']:,} rows, read, split, tokenised and "
        f"learned for a few steps: peak memory {_above(found, 'whole_bytes'):,.0f} MB above that of a hundred rows "
        f"(wanted: less than {WANTED_GROWTH}), {_above(found, 'anonymous_bytes'):,.0f} MB of it anonymous. Prepared in "
        f"{found['large']['prepared_seconds']:,.0f} s; the second time training began after "
        f"{found['again']['started_seconds']:,.1f} s, that of a hundred rows after "
        f"{found['small']['started_seconds']:,.1f} s."
    ),
}
"""Kind of record -> what is said of one."""


def now() -> dict[str, Any]:
    """When, at which commit and on what it was measured."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip() or "unknown",
        "processor": processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def section(records: Records) -> str:
    """'' where nothing was measured."""
    parts = []
    for kind, sentence in _SENTENCES.items():
        if found := records.all(kind):
            last = found[-1]
            where = f"{last['date']}, commit {last['commit']}, {last['processor']}, {last['cores']} cores"
            parts.append(f"{sentence(last)} ({where}; {last['load']:g} programs wanted a core before it began.)")
    if not parts:
        return ""
    made = "`python -m benchmarks.data.preparing`, `.tokenising` and `.streaming`, each with `--keep`"
    return "\n\n".join(["## Data", f"Measured by {made}; rows are made on the spot.", *parts])
