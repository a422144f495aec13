"""Adapters on the last quarter of the layers, three epochs: what the frozen layers make of a row kept, and not kept.

`python -m benchmarks.frozen_trunk --shape smollm2-135m --rounds 2` alternates these two, and adapters in all layers, in
one process. It prints the seconds from the first step to the last, the processor's own seconds (which other work on the
machine stretches less), and the ratios beside those that the arithmetic allows.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks import cases
from benchmarks.shape import SHAPES, arithmetic
from benchmarks.workload import ROWS, Workload, write
from furrow.components.events import Event, StepEnded, TrainingStarted
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.records import Example

EPOCHS = 3
WAYS = {"all layers learn": (False, 0.0), "computed in every epoch": (True, 0.0), "computed once": (True, 8.0)}
"""What is compared -> (whether only the last quarter learns, hardware.optimization.activation_cache_gb)."""


class Clock:
    """Wall and processor seconds of the steps, and their losses."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0
        self.losses: list[float] = []

    def __call__(self, event: Event) -> None:
        now = time.perf_counter(), _processor_seconds()
        if isinstance(event, TrainingStarted):
            self._began = now
        if isinstance(event, StepEnded):
            self.wall, self.processor = now[0] - self._began[0], now[1] - self._began[1]
            self.losses.append(event.loss)


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def run(work: Workload, last_quarter: bool, gib: float, folder: Path) -> Clock:
    """Trains as the case `layers` of `make bench` does, and measures the steps."""
    layers = cases.CASES["layers"].adapted(work.shape) if last_quarter else None
    settings = {
        "base_model": {"path": str(work.model)},
        "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no", "activation_cache_gb": gib}},
        "method": {
            "type": "lora",
            "r": cases.RANK,
            "alpha": cases.ALPHA,
            "dropout": 0.0,
            **({"layers_to_transform": layers} if layers else {}),
        },
        "training_args": {
            "num_train_epochs": EPOCHS,
            "per_device_train_batch_size": cases.ROWS_PER_STEP,
            "learning_rate": cases.LEARNING_RATE,
            "save_strategy": "no",
        },
    }
    tuner = PyTorchFineTuner(PyTorchConfig.model_validate_json(json.dumps(settings)))
    clock = Clock()
    rows = map(json.loads, work.ids.read_text(encoding="utf-8").splitlines())
    tuner.train(
        TrainingRequest(
            train=[Example(row["input_ids"], [label >= 0 for label in row["labels"]], "") for row in rows],
            order_seed=cases.SEED,
            checkpoints=folder / "checkpoints",
            final_model=folder / "final_model",
            beside={},
        ),
        clock,
    )
    return clock


def allowed(work: Workload) -> dict[str, float]:
    """How many times the operations of the last way the others need: blocks and head, nothing else."""
    adapted = len(cases.CASES["layers"].adapted(work.shape) or ())
    counts = {"tokens": work.tokens, "learned": work.learned, "method": "lora"}
    every, once = (arithmetic(work.shape, epochs=epochs, adapted=adapted, **counts).total for epochs in (1, EPOCHS))
    whole = arithmetic(work.shape, epochs=EPOCHS, **counts).total
    return dict(zip(WAYS, (whole / once, EPOCHS * every / once, 1.0), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = write(Path(place) / "work", SHAPES[asked.shape], asked.rows)
        seen: dict[str, list[Clock]] = {way: [] for way in WAYS}
        for turn in range(asked.rounds):
            for way, (last_quarter, gib) in WAYS.items():
                clock = run(work, last_quarter, gib, Path(place) / f"{turn}-{way}")
                seen[way].append(clock)
                print(f"{way}: {clock.wall:.1f} s, {clock.processor:.1f} s of processors", flush=True)
    *others, kept = seen
    for way in others:
        ratios = (median(_all(what, seen[way])) / median(_all(what, seen[kept])) for what in ("wall", "processor"))
        told = "{:.2f} x the seconds, {:.2f} x the processors'".format(*ratios)
        print(f"{way} against {kept}: {told}; the arithmetic says {allowed(work)[way]:.2f} x")
    pairs = zip(seen[others[-1]][0].losses, seen[kept][0].losses, strict=True)
    print(f"losses of the last two differ by {max(abs(a - b) / a for a, b in pairs):.1g} at most")


def _all(what: str, clocks: list[Clock]) -> list[float]:
    return [getattr(clock, what) for clock in clocks]


if __name__ == "__main__":
    main()
