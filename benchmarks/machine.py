"""What the machine can do: the rate of plain matrix products of the model's shapes. `python -m benchmarks.machine`."""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

from benchmarks.shape import SHAPES, ModelShape

TOKENS = 1024
"""Rows of each product: one micro-batch as Furrow cuts them, so that the floor is not helped by tiny products."""
LEARNED_SHARE = 0.55
"""Of the tokens, for the head."""
REPEATS = 5


def measure(shape: ModelShape, tokens: int = TOKENS) -> dict[str, float | int]:
    """GFLOP/s of the forward products and input gradients of one block and of the head, weighted as the model needs
    them. The best of REPEATS, because a floor is what is possible."""
    import torch

    learned = max(1, int(tokens * LEARNED_SHARE))
    products = [(tokens, inputs, outputs, shape.layers) for inputs, outputs in shape.matrices]
    products.append((learned, shape.hidden, shape.vocabulary, 1))
    seconds, operations = 0.0, 0.0
    with torch.no_grad():
        for rows, inputs, outputs, times in products:
            weight = torch.randn(outputs, inputs)
            given, gradient = torch.randn(rows, inputs), torch.randn(rows, outputs)
            seconds += times * _best(lambda given=given, weight=weight: given @ weight.T)
            seconds += times * _best(lambda gradient=gradient, weight=weight: gradient @ weight)
            operations += times * 4 * rows * inputs * outputs
    return {"gflops": operations / seconds / 1e9, "threads": torch.get_num_threads(), "tokens": tokens}


def _best(product) -> float:
    product()
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - started)
    return best


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="smollm2-135m")
    print(json.dumps(measure(SHAPES[parser.parse_args().shape])))


if __name__ == "__main__":
    main()
