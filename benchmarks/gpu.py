"""The same on a GPU: LoRA in bfloat16 on the shapes of Llama-3.2-1B and Llama-3.1-8B, rows of 2,048 tokens.

`python -m benchmarks.gpu --shape llama-3.2-1b --systems furrow,trainer,trainer-liger,unsloth --rounds 2`

It needs CUDA and says so where there is none. Peers that are libraries (Liger, Unsloth) are used where this environment
has them. What is printed and written names the GPU; nothing of `docs/benchmarks.md` comes from here.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml

from benchmarks import cases
from benchmarks.shape import ModelShape, arithmetic
from benchmarks.systems import Mark
from benchmarks.systems.furrow import ROOT
from benchmarks.systems.furrow import read_event as furrow_line
from benchmarks.systems.hugging_face import WORKERS
from benchmarks.systems.hugging_face import read_line as worker_line
from benchmarks.watch import Watched, watch
from benchmarks.workload import EOS, SEED, TokenRow, write_rows, write_tokenizer

SHAPES = {
    "llama-3.2-1b": ModelShape(2048, 16, 32, 8, 8192, 128_256, positions=131_072),
    "llama-3.1-8b": ModelShape(4096, 32, 32, 8, 14_336, 128_256, positions=131_072, tied=False),
}
LENGTH = 2048
ROWS = 160
"""Twenty steps of eight rows."""
SKIPPED = 3
"""Steps at the beginning that are not counted: kernels are chosen and compiled there."""
PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "RTX 4090": 165e12}
"""Dense bfloat16 operations a second by the maker's data sheet, by a part of the GPU's name; MFU is a share of this."""
NEEDS = {"trainer": "peft", "trainer-flash": "flash_attn", "trainer-liger": "liger_kernel", "unsloth": "unsloth"}
"""The package without which a system is left out."""


@dataclass(frozen=True)
class Result:
    """One run."""

    system: str
    tokens_per_second: float
    peak_bytes: int
    losses: list[float]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="llama-3.2-1b")
    parser.add_argument("--systems", default="furrow,trainer,trainer-flash,trainer-liger,unsloth")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=ROOT / ".bench/gpu")
    parser.add_argument("--results", type=Path, help="JSON; default: benchmarks-gpu-SHAPE.json in the folder")
    asked = parser.parse_args(given)
    gpu = _gpu()
    shape, names = SHAPES[asked.shape], asked.systems.split(",")
    folder = asked.folder.resolve() / asked.shape
    _write_work(folder, shape)
    runs: dict[str, list[Result]] = {}
    for number in range(asked.rounds):
        for name in names:
            if (needed := NEEDS.get(name)) and importlib.util.find_spec(needed) is None:
                print(f"{name}: left out, this environment has no {needed}", flush=True)
                continue
            print(f"round {number + 1}: {name} …", flush=True)
            if (result := _run(name, folder)) is not None:
                runs.setdefault(name, []).append(result)
    report = {"gpu": gpu, "shape": asked.shape, "sequence": LENGTH, "systems": _figures(runs, shape, gpu)}
    destination = asked.results or asked.folder / f"benchmarks-gpu-{asked.shape}.json"
    destination.write_text(json.dumps(report, indent=2), encoding="utf-8")
    print(json.dumps(report, indent=2))


def _gpu() -> str:
    """Its name; ends the program where there is none."""
    import torch

    if not torch.cuda.is_available():
        sys.exit("benchmarks.gpu measures on a CUDA device and finds none; `make bench` measures on a CPU")
    if not torch.cuda.is_bf16_supported():
        sys.exit(f"benchmarks.gpu computes in bfloat16, which {torch.cuda.get_device_name()} does not have")
    return torch.cuda.get_device_name()


def _write_work(folder: Path, shape: ModelShape) -> None:
    """Rows of LENGTH tokens, half of each an answer, and random weights in bfloat16."""
    if (folder / "done").is_file():
        return
    if folder.exists():
        shutil.rmtree(folder)
    chance = random.Random(SEED)
    drawn = [[chance.randrange(4, shape.vocabulary) for _ in range(LENGTH - 1)] for _ in range(ROWS)]
    write_rows([TokenRow(tuple(row[: LENGTH // 2]), (*row[LENGTH // 2 :], EOS)) for row in drawn], folder)
    write_tokenizer(shape.vocabulary, folder / "model", longest=LENGTH)
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    with torch.device("cuda"):
        model = LlamaForCausalLM._from_config(LlamaConfig(**shape.as_config()), dtype=torch.bfloat16)
    model.save_pretrained(folder / "model")
    del model
    torch.cuda.empty_cache()
    (folder / "done").touch()


def _run(name: str, folder: Path) -> Result | None:
    """One fresh process. Its peak is what the driver says that it held, its context included."""
    place = folder / "runs" / name
    if place.exists():
        shutil.rmtree(place)
    place.mkdir(parents=True)
    command = _furrow(folder, place) if name == "furrow" else _worker(name, folder, place)
    memory = _Memory()
    reader = furrow_line if name == "furrow" else worker_line

    def read(line: str) -> Mark | None:
        memory.look()
        return reader(line)

    seen = watch(command, read, folder=ROOT, environment=os.environ, seconds=1800, log=place / "output.log")
    shutil.rmtree(place / "output", ignore_errors=True)
    if seen.exit_code or len(seen.ended_at) <= SKIPPED + 1:
        print(f"{name}: failed: {seen.last_lines[-1:]}", flush=True)
        return None
    return Result(name, _tokens_per_second(seen), memory.peak, seen.losses)


def _tokens_per_second(seen: Watched) -> float:
    """Over the steps after the SKIPPED first ones; every step has the same number of tokens."""
    steps = len(seen.ended_at) - SKIPPED
    return steps * cases.ROWS_PER_STEP * LENGTH / (seen.ended_at[-1] - seen.ended_at[SKIPPED - 1])


class _Memory:
    """What all processes hold on the GPU, asked of the driver once a line; the GPU is thought to be ours alone."""

    def __init__(self) -> None:
        self.peak = 0

    def look(self) -> None:
        asked = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        said = subprocess.run(asked, stdout=subprocess.PIPE, text=True).stdout.split()
        if said and said[0].isdigit():
            self.peak = max(self.peak, int(said[0]) * 2**20)


def _furrow(folder: Path, place: Path) -> list[str]:
    strategy: dict[str, Any] = {
        "base_model": {"path": str(folder / "model")},
        "hardware": {"device": "cuda", "optimization": {"mixed_precision": "bf16"}},
        "method": {"type": "lora", "r": cases.RANK, "alpha": cases.ALPHA, "dropout": 0.0},
        "training_args": {
            "output_dir": str(place / "output"),
            "num_train_epochs": 1,
            "per_device_train_batch_size": cases.ROWS_PER_STEP,
            "learning_rate": cases.LEARNING_RATE,
            "save_strategy": "no",
            "seed": cases.SEED,
        },
    }
    file = place / "strategy.yaml"
    whole = {
        "components": {"fine_tuner": {"type": "pytorch", "config": strategy}},
        "dataset": {"train_file": str(folder / "rows.jsonl")},
        "data_preprocessing": {"max_length": LENGTH, "shuffle": False},
        "prompt_template": {"type": "format", "format": "{input} {output}"},
    }
    file.write_text(yaml.safe_dump({"benchmark": whole}, sort_keys=False), encoding="utf-8")
    asked = ["train", "--strategy", "benchmark", "--strategy-file", str(file), "--json"]
    return [sys.executable, str(ROOT / "cli.py"), *asked]


def _worker(name: str, folder: Path, place: Path) -> list[str]:
    asked = {
        "system": name,
        "model": str(folder / "model"),
        "ids": str(folder / "ids.jsonl"),
        "output": str(place / "output"),
        "length": LENGTH,
        **cases.TOLD,
    }
    file = place / "asked.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    return [sys.executable, str(WORKERS / "gpu_peer.py"), str(file)]


def _figures(runs: dict[str, list[Result]], shape: ModelShape, gpu: str) -> dict[str, dict[str, object]]:
    """Medians over the rounds. MFU counts what shape.Arithmetic counts, and no recomputation."""
    work = arithmetic(shape, tokens=LENGTH, learned=LENGTH // 2, epochs=1, method="lora").total / LENGTH
    peak = next((rate for part, rate in PEAK.items() if part in gpu), None)
    figures: dict[str, dict[str, object]] = {}
    for name, results in runs.items():
        speed = median(result.tokens_per_second for result in results)
        figures[name] = {
            "rounds": len(results),
            "tokens_per_second": round(speed, 1),
            "mfu": round(speed * work / peak, 4) if peak else None,
            "peak_gib": round(median(result.peak_bytes for result in results) / 2**30, 2),
            "final_loss": results[-1].losses[-1],
        }
        if name != "furrow" and "furrow" in runs:
            figures[name]["furrow_over_it"] = _paired(runs["furrow"], results)
    return figures


def _paired(ours: Sequence[Result], theirs: Sequence[Result]) -> float:
    pairs = zip(ours, theirs, strict=False)
    return round(median(mine.tokens_per_second / their.tokens_per_second for mine, their in pairs), 3)


if __name__ == "__main__":
    main()
