"""How long the light commands take to start, beside `import click` alone: `python benchmarks/startup.py`.

Each figure is the best of RUNS fresh interpreters, taken in turn so that a busy moment hits all of them alike.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

RUNS = 9
ROOT = Path(__file__).parents[1]
BASELINE = "python -c 'import click'"
COMMANDS = {
    BASELINE: ["-c", "import click"],
    "cli.py --help": ["cli.py", "--help"],
    "cli.py strategies list": ["cli.py", "strategies", "list"],
    "cli.py strategies show demo_almanac": ["cli.py", "strategies", "show", "demo_almanac"],
    "cli.py strategies validate demos/strategies.yaml": ["cli.py", "strategies", "validate", "demos/strategies.yaml"],
    "cli.py strategies schema": ["cli.py", "strategies", "schema"],
    "cli.py components list": ["cli.py", "components", "list"],
}


def seconds(arguments: list[str]) -> float:
    """Wall-clock time of one interpreter, from its start to its end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    best = dict.fromkeys(COMMANDS, float("inf"))
    for _ in range(RUNS):
        for name, arguments in COMMANDS.items():
            best[name] = min(best[name], seconds(arguments))
    for name, measured in best.items():
        print(f"{measured * 1000:7.0f} ms  {measured / best[BASELINE]:5.2f}x  {name}")


if __name__ == "__main__":
    main()
