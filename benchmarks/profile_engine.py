"""Where the time of a step goes: `python -m benchmarks.profile_engine FOLDER --steps 3`.

Trains the workload of the benchmark in this process, leaves the first step out (it makes things ready), and prints the
operators by their own time, in groups, with the rate of the useful arithmetic (`shape.arithmetic`). Knows nothing of
peers.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import cases
from benchmarks.shape import SHAPES, arithmetic
from benchmarks.workload import TokenRow, make_rows, write
from furrow.components.events import Event, StepEnded
from furrow.components.fine_tuner import TrainingRequest
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.fine_tuner import PyTorchFineTuner
from furrow.components.records import Example

GROUPS = {
    "matrix products": ("mm", "addmm", "bmm", "linear_pointwise", "matmul", "linear"),
    "attention": ("scaled_dot_product", "flash"),
    "the optimiser": ("adam", "foreach", "norm"),
    "moving and making": ("copy", "cat", "empty", "fill", "zero", "clone", "index", "gather", "scatter", "embedding"),
    "element by element": (
        "mul",
        "add",
        "sub",
        "silu",
        "softmax",
        "neg",
        "sum",
        "amax",
        "div",
        "rsqrt",
        "square",
        "vecdot",
    ),
}
"""Parts of operators' names, tried in this order."""


@dataclass
class Watch:
    """Profiles every step but the first."""

    profiler: Any = field(default_factory=lambda: profile(activities=[ProfilerActivity.CPU]))
    steps: list[StepEnded] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, StepEnded):
            return
        if event.step == 1:
            self.profiler.start()
        else:
            self.steps.append(event)

    @property
    def seconds(self) -> float:
        return sum(step.seconds for step in self.steps)


def settings(model: Path, steps: int, more: dict[str, Any]) -> PyTorchConfig:
    return PyTorchConfig.model_validate_json(
        json.dumps(
            {
                "base_model": {"path": str(model)},
                "hardware": {"device": "cpu", "optimization": {"mixed_precision": "no"}},
                "method": {
                    "type": "lora",
                    "r": cases.RANK,
                    "alpha": cases.ALPHA,
                    "dropout": 0.0,
                    "target_modules": "all-linear",
                },
                "training_args": {
                    "per_device_train_batch_size": cases.ROWS_PER_STEP,
                    "max_steps": steps,
                    "save_strategy": "no",
                    "seed": cases.SEED,
                    **more,
                },
            }
        )
    )


def example(row: TokenRow) -> Example:
    return Example([*row.prompt, *row.answer], [False] * len(row.prompt) + [True] * len(row.answer), "workload")


def run(model: Path, rows: Sequence[TokenRow], steps: int, more: dict[str, Any]) -> Watch:
    """Trains for `steps` steps; `more` are further training_args."""
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        request = TrainingRequest(
            train=[example(row) for row in rows],
            evaluation=[],
            order_seed=None,
            checkpoints=Path(folder) / "checkpoints",
            final_model=Path(folder) / "final_model",
            beside={},
        )
        PyTorchFineTuner(settings(model, steps, more)).train(request, watch)
    watch.profiler.stop()
    return watch


def grouped(times: dict[str, float]) -> Counter[str]:
    """Seconds by group, from seconds by operator."""
    found: Counter[str] = Counter()
    for name, seconds in times.items():
        group = next((group for group, parts in GROUPS.items() if any(part in name for part in parts)), "the rest")
        found[group] += seconds
    return found


def report(watch: Watch, folder_shape: str, say: Callable[[str], None] = print) -> None:
    times = {one.key: one.self_cpu_time_total / 1e6 for one in watch.profiler.key_averages()}
    tokens = sum(step.total_tokens for step in watch.steps)
    learned = sum(step.learned_tokens for step in watch.steps)
    work = arithmetic(SHAPES[folder_shape], tokens=tokens, learned=learned, epochs=1, method="lora").total
    say(f"{len(watch.steps)} steps, {tokens} tokens ({learned} learned): {watch.seconds:.2f} s")
    say(f"{work / watch.seconds / 1e9:.0f} GFLOP/s of useful arithmetic ({work / 1e12:.2f} TFLOP)")
    for group, seconds in grouped(times).most_common():
        say(f"{seconds / watch.seconds:6.1%}  {seconds:7.2f} s  {group}")
    say("")
    for name, seconds in Counter(times).most_common(20):
        say(f"{seconds / watch.seconds:6.1%}  {seconds:7.2f} s  {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the workload is, or is to be written")
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    parser.add_argument("--steps", type=int, default=4, help="the first one is not counted")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a training argument, as JSON")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    workload = write(given.folder, SHAPES[given.shape])
    more = {key: json.loads(value) for key, value in (pair.split("=", 1) for pair in given.set)}
    rows = make_rows(vocabulary=workload.shape.vocabulary, longest=min(512, workload.shape.positions))
    report(run(workload.model, rows, given.steps, more), given.shape)


if __name__ == "__main__":
    main()
